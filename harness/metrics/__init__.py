"""Pure functions of outcomes, and the table of what each metric means."""
