"""Contract of finding statistics texts by name; `tasks.statistics_texts` fulfils it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple


class StatisticsText(NamedTuple):
    """A text that key statistics are taken from."""

    name: str
    """Name that results call it by."""
    read: Callable[[], Iterable[str]]
    """Reads it, piece by piece."""
    fixed: bool = False
    """True if the name always refers to the same text, which is then not read when all is cached."""


class StatisticsSource(NamedTuple):
    """Key statistics in place of the model's own."""

    source: str
    """As `harness.runs.loaded_model.load` takes it."""
    digest: str
    """Identity of it in a spec."""


TextFinder = Callable[[str], StatisticsText]
"""Name, or ``file:PATH`` → the text.

Raises `UsageError` for an unknown name; reading raises `MissingResource` or `ConfigError`.
"""
