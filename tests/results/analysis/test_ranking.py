from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from palimpsest.results.analysis.ranking import Draws, ranked_rows, resolution
from palimpsest.results.records import BoardRow, EditsUntil, Interval

NOTHING = Interval(None)


def row(name: str, effective_edits: Interval, **other: Any) -> BoardRow:
    fields: dict[str, Any] = {
        "run_id": name,
        "track_id": "t",
        "rank_low": None,
        "rank_high": None,
        "editor": name,
        "distribution": "d",
        "version": "1",
        "seed": 0,
        "status": "complete",
        "edits_done": 500,
        "edits_planned": 500,
        "effective_edits": effective_edits,
        "until_80": EditsUntil(),
        "until_50": EditsUntil(),
        "relative": {},
        "metrics_at": 500,
        "metrics": {},
        "abilities_kept": Interval(None),
        "seconds_per_edit": None,
        "peak_memory_mb": None,
        "started_at": None,
        "finished_at": None,
    }
    return BoardRow(**fields | other)


def held(edits: float, half_width: float) -> Interval:
    return Interval(edits, edits - half_width, edits + half_width, 9)


def ranks(rows: list[BoardRow], draws: Draws | None = None) -> dict[str, tuple[int | None, int | None]]:
    random.Random(0).shuffle(rows)
    return {r.run_id: (r.rank_low, r.rank_high) for r in ranked_rows(rows, draws)}


def test_clear_differences_give_single_ranks() -> None:
    found = ranks([row("a", held(300, 10)), row("b", held(200, 10)), row("c", held(100, 10))])
    assert list(found.items()) == [("a", (1, 1)), ("b", (2, 2)), ("c", (3, 3))]


def test_differences_within_their_error_share_ranks() -> None:
    found = ranks([row("a", held(230, 60)), row("b", held(200, 60)), row("c", held(50, 10))])
    assert list(found.items()) == [("a", (1, 2)), ("b", (1, 2)), ("c", (3, 3))]


def test_ties_are_no_chain() -> None:
    """a is tied with b and b with c, but a is better than c."""
    found = ranks([row("a", held(300, 60)), row("b", held(230, 60)), row("c", held(160, 60))])
    assert found == {"a": (1, 2), "b": (1, 3), "c": (2, 3)}


def test_pairing_by_case_tells_rows_apart_whose_intervals_overlap() -> None:
    shared = np.random.default_rng(0).normal(0, 30, 1000)
    rows = [row("a", held(300, 60)), row("b", held(280, 60))]
    assert ranks(rows) == {"a": (1, 2), "b": (1, 2)}
    draws = {"a": 300 + shared, "b": 280 + shared + np.linspace(-2, 2, 1000)}
    assert ranks(rows, draws) == {"a": (1, 1), "b": (2, 2)}


def test_many_pairs_need_a_larger_difference() -> None:
    pair = [row("a", held(300, 60)), row("b", held(205, 60))]
    assert ranks(pair)["a"] == (1, 1)
    others = [row(f"c{i}", held(205, 60)) for i in range(12)]
    assert ranks(pair + others)["a"] != (1, 1)


def test_seeds_are_one_row_that_stands_at_their_mean() -> None:
    seeds = [row(f"a{i}", held(300 + i, 10), row_id="a", seed=i) for i in range(3)]
    found = ranks([*seeds, row("b", held(100, 10))])
    assert found == {"a0": (1, 1), "a1": (1, 1), "a2": (1, 1), "b": (2, 2)}


def test_seeds_that_disagree_widen_the_rank() -> None:
    seeds = [row(f"a{i}", held(value, 10), row_id="a", seed=i) for i, value in enumerate((80, 300, 520))]
    assert set(ranks([*seeds, row("b", held(100, 10))]).values()) == {(1, 2)}


def test_never_falling_under_a_limit_ranks_above_nobody() -> None:
    """Protocol 1 put every "> N" above every number: an editor that wrote nothing stood first."""
    lazy = row("lazy", held(75, 5), until_80=EditsUntil(None, 500), until_50=EditsUntil(None, 500))
    found = ranks([lazy, row("honest", held(400, 9), until_80=EditsUntil(380.0), until_50=EditsUntil(None, 500))])
    assert list(found.items()) == [("honest", (1, 1)), ("lazy", (2, 2))]


@pytest.mark.parametrize("status", ["partial", "failed"])
def test_unfinished_runs_are_shown_last_without_rank(status: str) -> None:
    found = ranks([row("open", held(400, 1), status=status, edits_done=200), row("a", held(10, 1))])
    assert list(found.items()) == [("a", (1, 1)), ("open", (None, None))]


def test_unmeasured_runs_are_not_ranked_and_collapsed_ones_are() -> None:
    found = ranks([row("none", NOTHING), row("dead", Interval(0.0), status="collapsed")])
    assert list(found.items()) == [("dead", (1, 1)), ("none", (None, None))]


def test_equal_rows_have_a_stable_order() -> None:
    assert list(ranks([row(name, held(100, 5)) for name in "cab"])) == ["a", "b", "c"]


def test_resolution_is_what_two_rows_must_differ_by() -> None:
    rows = [row(str(i), held(300, half)) for i, half in enumerate((1.0, 2.0, 5.0))]
    assert resolution(rows) == pytest.approx(5.1, rel=0.01)  # sqrt(1² + 5²)
    assert resolution(rows[:1]) == pytest.approx(2**0.5, rel=0.01)
    assert resolution([row("a", Interval(300.0))]) is None
    assert resolution([]) is None
    same = np.random.default_rng(1).normal(50, 1, 1000)
    draws = {str(i): same + 0.01 * i for i in range(3)}
    assert resolution(rows, draws) == pytest.approx(0.0, abs=1e-6)
