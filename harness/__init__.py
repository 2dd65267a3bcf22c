"""The engine: it knows no editor, no task, no store and no page."""
