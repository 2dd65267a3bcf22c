"""Finders that the harness is handed from outside: of tasks, ability tasks and statistics texts, by name."""

from __future__ import annotations

from dataclasses import dataclass

from palimpsest.harness.abilities.items import AbilityFinder
from palimpsest.harness.specs.cases import TaskFinder
from palimpsest.harness.statistics.texts import TextFinder


@dataclass(frozen=True, slots=True)
class Installation:
    """The finders of this installation; the command line makes it, the harness only asks."""

    tasks: TaskFinder
    abilities: AbilityFinder
    texts: TextFinder
