"""Damaged files: never a traceback, never a silent wrong number."""
