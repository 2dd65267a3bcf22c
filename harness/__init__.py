"""The engine: loads models, plans runs, edits, checkpoints, scores."""
