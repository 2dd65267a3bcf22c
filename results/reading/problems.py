"""Problems of foreign files: what was left out, and why."""

from __future__ import annotations

from typing import NamedTuple


class Problem(NamedTuple):
    """Something in a run folder that was left out, and why."""

    path: str
    message: str


class Invalid(ValueError):
    """One file or folder cannot be used; the message says why, without its path."""
