from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from palimpsest.results.analysis.ranking import Draws, ranked_rows, resolution
from palimpsest.results.records import BoardRow, EnduranceValue, Interval

NOTHING = EnduranceValue()


def row(name: str, endurance: EnduranceValue, score: Interval | None = None, **other: Any) -> BoardRow:
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
        "endurance": endurance,
        "metrics_at": 500,
        "metrics": {} if score is None else {"score_argmax": score},
        "abilities_kept": Interval(None),
        "seconds_per_edit": None,
        "peak_memory_mb": None,
        "started_at": None,
        "finished_at": None,
    }
    parts = ("endurance_editing", "endurance_abilities", "half_life", "half_life_editing", "half_life_abilities")
    return BoardRow(**fields | dict.fromkeys(parts, NOTHING) | other)


def reached(edits: float, half_width: float) -> EnduranceValue:
    return EnduranceValue(edits=edits, low=edits - half_width, high=edits + half_width)


def beyond(edits: int, low: float | None = None) -> EnduranceValue:
    return EnduranceValue(censored_at=edits, low=low, high=None)


def ranks(rows: list[BoardRow], draws: Draws | None = None) -> dict[str, tuple[int | None, int | None]]:
    random.Random(0).shuffle(rows)
    return {r.run_id: (r.rank_low, r.rank_high) for r in ranked_rows(rows, "counterfact", draws)}


def test_clear_differences_give_single_ranks() -> None:
    found = ranks([row("a", reached(300, 10)), row("b", reached(200, 10)), row("c", reached(100, 10))])
    assert list(found.items()) == [("a", (1, 1)), ("b", (2, 2)), ("c", (3, 3))]


def test_differences_within_their_error_share_ranks() -> None:
    found = ranks([row("a", reached(230, 60)), row("b", reached(200, 60)), row("c", reached(50, 10))])
    assert list(found.items()) == [("a", (1, 2)), ("b", (1, 2)), ("c", (3, 3))]


def test_ties_are_no_chain() -> None:
    """a is tied with b and b with c, but a is better than c."""
    found = ranks([row("a", reached(300, 60)), row("b", reached(230, 60)), row("c", reached(160, 60))])
    assert found == {"a": (1, 2), "b": (1, 3), "c": (2, 3)}


def test_pairing_by_case_tells_rows_apart_whose_intervals_overlap() -> None:
    shared = np.random.default_rng(0).normal(0, 30, 1000)
    rows = [row("a", reached(300, 60)), row("b", reached(280, 60))]
    assert ranks(rows) == {"a": (1, 2), "b": (1, 2)}
    draws = {("a", "endurance"): 300 + shared, ("b", "endurance"): 280 + shared + np.linspace(-2, 2, 1000)}
    draws |= {(name, "score"): shared for name in "ab"}
    assert ranks(rows, draws) == {"a": (1, 1), "b": (2, 2)}


def test_many_pairs_need_a_larger_difference() -> None:
    pair = [row("a", reached(300, 60)), row("b", reached(205, 60))]
    assert ranks(pair)["a"] == (1, 1)
    others = [row(f"c{i}", reached(205, 60)) for i in range(12)]
    assert ranks(pair + others)["a"] != (1, 1)


def test_seeds_are_one_row_that_stands_at_their_mean() -> None:
    seeds = [row(f"a{i}", reached(300 + i, 10), row_id="a", seed=i) for i in range(3)]
    found = ranks([*seeds, row("b", reached(100, 10))])
    assert found == {"a0": (1, 1), "a1": (1, 1), "a2": (1, 1), "b": (2, 2)}


def test_seeds_that_disagree_widen_the_rank() -> None:
    seeds = [row(f"a{i}", reached(value, 10), row_id="a", seed=i) for i, value in enumerate((80, 300, 520))]
    assert set(ranks([*seeds, row("b", reached(100, 10))]).values()) == {(1, 2)}


def test_outlasting_the_schedule_ranks_above_any_number() -> None:
    found = ranks([row("late", reached(490, 5)), row("open", beyond(500, 500.0), Interval(1.0, 0.5, 2.0, 9))])
    assert list(found.items()) == [("open", (1, 1)), ("late", (2, 2))]


def test_outlasting_barely_is_tied_with_nearly_outlasting() -> None:
    found = ranks([row("late", EnduranceValue(edits=450, low=380.0, high=500.0)), row("open", beyond(500, 400.0))])
    assert list(found.items()) == [("open", (1, 2)), ("late", (1, 2))]


def test_runs_that_outlasted_are_ordered_by_their_final_score() -> None:
    found = ranks(
        [
            row("low", beyond(500, 500.0), Interval(60.0, 58.0, 62.0, 500)),
            row("high", beyond(500, 400.0), Interval(80.0, 78.0, 82.0, 500)),
            row("close", beyond(500, 500.0), Interval(79.0, 77.0, 81.0, 500)),
        ]
    )
    assert list(found.items()) == [("high", (1, 2)), ("close", (1, 2)), ("low", (3, 3))]


@pytest.mark.parametrize("status", ["partial", "failed"])
def test_unfinished_runs_are_shown_last_without_rank(status: str) -> None:
    found = ranks([row("open", beyond(200), status=status, edits_done=200), row("a", reached(10, 1))])
    assert list(found.items()) == [("a", (1, 1)), ("open", (None, None))]


def test_unmeasured_runs_are_not_ranked_and_collapsed_ones_are() -> None:
    found = ranks([row("none", NOTHING), row("dead", EnduranceValue(edits=0.0), status="collapsed")])
    assert list(found.items()) == [("dead", (1, 1)), ("none", (None, None))]


def test_equal_rows_have_a_stable_order() -> None:
    assert list(ranks([row(name, reached(100, 5)) for name in "cab"])) == ["a", "b", "c"]


def test_resolution_is_what_two_rows_must_differ_by() -> None:
    scores = [Interval(50.0, 49.0, 51.0, 9), Interval(50.0, 48.0, 52.0, 9), Interval(50.0, 45.0, 55.0, 9)]
    rows = [row(str(i), beyond(500), score) for i, score in enumerate(scores)]
    assert resolution(rows, "counterfact") == pytest.approx(5.1, rel=0.01)  # sqrt(1² + 5²)
    assert resolution(rows[:1], "counterfact") == pytest.approx(2**0.5, rel=0.01)
    assert resolution(rows, "zsre") is None
    assert resolution([], "counterfact") is None
    same = np.random.default_rng(1).normal(50, 1, 1000)
    draws = {(str(i), quantity): same + 0.01 * i for i in range(3) for quantity in ("endurance", "score")}
    assert resolution(rows, "counterfact", draws) == pytest.approx(0.0, abs=1e-6)
