from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.harness.errors import ConfigError
from palimpsest.harness.specs.run_spec import Schedule
from palimpsest.harness.specs.schedule import batches, boundaries, order


def schedule(edits: int, size: int = 3, seed: int | Literal["run"] | None = None) -> Schedule:
    return Schedule(edits=edits, batch_size=size, checkpoints=(0, edits), order_seed=seed)


def test_file_order_and_fixed_seeded_order() -> None:
    assert order(9, schedule(4), 0) == [0, 1, 2, 3]
    assert order(9, schedule(6, seed=0), 0) == [6, 4, 2, 1, 7, 5]


def test_the_run_s_seed_orders_where_the_schedule_says_so() -> None:
    by_run = schedule(6, seed="run")
    assert [order(9, by_run, seed) == order(9, schedule(6, seed=seed), 99) for seed in (0, 1, 2)] == [True] * 3
    assert order(9, by_run, 1) != order(9, by_run, 2)


@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 2**40))
def test_seeded_orders_are_beginnings_of_one_permutation(edits: int, more: int, seed: int) -> None:
    cases = edits + more
    long = order(cases, schedule(cases, seed=seed), 0)
    assert sorted(long) == list(range(cases))
    assert order(cases, schedule(edits, seed=seed), 0) == long[:edits]


@given(st.integers(1, 200), st.integers(1, 50))
def test_batches_cover_every_position_once(edits: int, size: int) -> None:
    parts = batches(schedule(edits, size))
    assert [p for batch in parts for p in range(batch.start, batch.stop)] == list(range(edits))
    assert [batch.number for batch in parts] == list(range(len(parts)))
    assert all(batch.stop - batch.start == size for batch in parts[:-1])
    assert boundaries(schedule(edits, size)) == [0, *(batch.stop for batch in parts)]


def test_too_few_cases() -> None:
    with pytest.raises(ConfigError, match=r"schedule\.edits: the task has 3 cases, the schedule asks for 4"):
        order(3, schedule(4), 0)
