"""The table of verdicts, row by row, and the promise that a run that advances is never given up."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.harness.fleet.verdict import ENOUGH, Attempts


@pytest.mark.parametrize(
    ("code", "kind", "asked", "verdict"),
    [
        (0, "", False, "done"),
        (0, "", True, "done"),
        (1, "", False, "failed"),
        (2, "error", False, "failed"),
        (3, "busy", False, "later"),
        (3, "", False, "done"),
        (4, "error", False, "later"),
        (130, "", True, "stopped"),
        (143, "", True, "stopped"),
        (143, "", False, "again"),
        (-9, "", False, "again"),
        (-9, "", True, "stopped"),
        (134, "", False, "again"),
    ],
)
def test_every_row_of_the_table(code: int, kind: str, asked: bool, verdict: str) -> None:
    assert Attempts().judge(code, edits=0, kind=kind, asked_to_stop=asked) == verdict


@settings(deadline=None)
@given(st.lists(st.sampled_from([-9, -6, 4, 137, 143]), min_size=1, max_size=30))
def test_a_run_that_advances_is_never_given_up(codes: list[int]) -> None:
    attempts = Attempts()
    for edits, code in enumerate(codes, 1):
        assert attempts.judge(code, edits=edits) in ("again", "later")


@settings(deadline=None)
@given(st.lists(st.sampled_from([-9, -6, 4, 137]), min_size=ENOUGH, max_size=ENOUGH), st.integers(0, 100))
def test_a_run_that_dies_three_times_without_progress_is_given_up(codes: list[int], edits: int) -> None:
    attempts = Attempts(furthest=edits)
    verdicts = [attempts.judge(code, edits=edits) for code in codes]
    assert verdicts[-1] == "given up" and "given up" not in verdicts[:-1]


def test_progress_between_two_deaths_begins_the_count_anew() -> None:
    attempts = Attempts()
    assert [attempts.judge(-9, edits=edits) for edits in (0, 0, 5, 5, 5)] == ["again"] * 4 + ["again"]
    assert attempts.judge(-9, edits=5) == "given up"
