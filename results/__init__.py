"""The store and all that is computed from it."""
