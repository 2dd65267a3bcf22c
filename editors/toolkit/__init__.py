"""Shared machinery of the locate-then-edit family."""
