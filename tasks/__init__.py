"""Tasks: edits, questions about them, ability items."""
