"""Trials that are computed and not done: a tuning of a known landscape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from palimpsest.cli.tuning.search import Next, Places, Search, key
from palimpsest.cli.tuning.trials import Trial

Landscape = Callable[[Mapping[str, Any]], float]


def trial(config: Mapping[str, Any], value: float, **more: Any) -> Trial:
    """A trial that reached so many effective edits."""
    return Trial(dict(config), value, (), 1.0, **more)


def searched(search: Search, landscape: Landscape, known: dict[str, Trial] | None = None) -> dict[Places, Trial]:
    """All trials of a search; every one that cannot come up to the best is stopped half-way."""
    known = {} if known is None else known
    while (step := step_of(search, known)) is not None:
        value = landscape(step.config)
        hopeless = step.to_beat is not None and value < step.to_beat
        how = {"stopped_at": 50, "at_most": value} if hopeless else {}
        known[key(step.config)] = trial(step.config, value / 2 if hopeless else value, **how)
    return search.replay(known)[0]


def step_of(search: Search, known: Mapping[str, Trial]) -> Next | None:
    return search.replay(known)[1]
