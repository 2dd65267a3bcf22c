"""Time and memory that a run needs."""
