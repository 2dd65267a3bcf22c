"""Computes while it is imported."""

from breakers import Honest, burn  # type: ignore[import-not-found]  # beside it, once installed

burn(2.2)


class Slow(Honest):  # type: ignore[misc]
    """Otherwise honest."""
