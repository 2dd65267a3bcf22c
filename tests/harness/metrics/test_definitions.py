"""The table of metrics is data: every entry is complete, and holds only what is known."""

from __future__ import annotations

from typing import get_args

import pytest

from palimpsest.harness.metrics.definitions import METRICS, Applies, Direction, Kind, Metric


@pytest.mark.parametrize("entry", METRICS, ids=lambda entry: entry.name)
def test_an_entry_says_all_that_is_shown_of_it(entry: Metric) -> None:
    assert entry.kind in get_args(Kind)
    assert entry.direction in get_args(Direction)
    assert entry.applies in get_args(Applies)
    assert entry.unit and entry.definition
    assert bool(entry.title) == bool(entry.group)
