"""What is edited and what is measured."""
