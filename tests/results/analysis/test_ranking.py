"""Standings of a track: who has a rank, which one, between what numbers, and which pairs are told apart."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from palimpsest.results.analysis.ranking import CourseResult, Draws, Standings, has_ended, in_order, standings
from palimpsest.results.records import BoardRow, EditsUntil, Interval, Standing, Track
from tests.labs.sample_source import track

Rows = dict[str, list[float | None]]


def courses(rows: Rows, half: float = 10.0) -> list[CourseResult]:
    """One course a number, by seed; None: no course of that seed."""
    return [
        CourseResult(name, f"{name}{seed}", seed, Interval(edits, edits - half, edits + half), 500)
        for name, values in rows.items()
        for seed, edits in enumerate(values)
        if edits is not None
    ]


def ranks(found: Standings) -> dict[str, tuple[int | None, int | None]]:
    return {name: (one.rank_low, one.rank_high) for name, one in found.rows.items()}


def board(found: Standings) -> Track:
    return replace(track(), pairs=found.pairs)


def test_courses_of_one_order_give_no_ranks_and_no_pairs() -> None:
    found = standings(courses({"a": [300, 302, 299], "b": [200, 204, 197]}), one_order=True)
    assert set(ranks(found).values()) == {(None, None)} and found.pairs == ()
    assert next(iter(found.rows.values())).effective_edits.value == pytest.approx(300.33, abs=0.01)


def test_clear_differences_give_single_ranks_best_first() -> None:
    found = standings(courses({"c": [100, 103, 98], "a": [300, 302, 299], "b": [200, 204, 197]}))
    assert list(ranks(found).items()) == [("a", (1, 1)), ("b", (2, 2)), ("c", (3, 3))]
    assert {one.courses for one in found.rows.values()} == {3}
    assert board(found).told_apart == len(found.pairs) == 3


def test_differences_within_their_error_share_ranks() -> None:
    found = standings(courses({"a": [230, 200, 260], "b": [200, 230, 215], "c": [50, 70, 60]}))
    assert ranks(found) == {"a": (1, 2), "b": (1, 2), "c": (3, 3)}
    assert board(found).told_apart == 2


def test_ties_are_no_chain() -> None:
    """a is tied with b and b with c, but a is better than c."""
    found = standings(courses({"a": [308, 292, 300], "b": [277, 285, 293], "c": [265, 273, 257]}))
    assert ranks(found) == {"a": (1, 2), "b": (1, 3), "c": (2, 3)}


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_courses_give_a_number_and_no_rank(count: int) -> None:
    few = courses({"few": [400.0, 420.0][:count]})
    found = standings([*few, *courses({"a": [300, 302, 299], "b": [200, 204, 197]})])
    assert list(found.rows) == ["few", "a", "b"], "it stands where its number puts it"
    one = found.rows["few"]
    assert (one.courses, one.rank_low, one.rank_high) == (count, None, None)
    assert ranks(found)["a"] == (1, 1), "ranks are counted among the rows that have one"
    assert [(pair.above, pair.below) for pair in found.pairs] == [("a", "b")]


def test_a_track_of_single_courses_has_no_ranks_and_no_pairs() -> None:
    found = standings(courses({"a": [300], "b": [20]}))
    assert set(ranks(found).values()) == {(None, None)} and found.pairs == ()
    assert board(found).resolution is None
    assert standings([]).rows == {}


def test_what_a_seed_does_to_all_rows_counts_for_nothing() -> None:
    """Seeds move both rows by 200 edits; their difference is 20 in each."""
    found = standings(courses({"a": [400, 300, 200], "b": [380, 281, 179]}))
    assert ranks(found) == {"a": (1, 1), "b": (2, 2)}
    low, high = found.rows["a"].effective_edits.low, found.rows["a"].effective_edits.high
    assert low is not None and high is not None and high - low > 100, "but it does in the interval of each"


def test_seeds_that_disagree_about_the_order_leave_rows_tied() -> None:
    found = standings(courses({"a": [80, 300, 500], "b": [300, 100, 90]}))
    assert set(ranks(found).values()) == {(1, 2)}


def test_rows_that_share_fewer_than_three_seeds_are_not_compared() -> None:
    found = standings(courses({"a": [400, 402, 401, None], "b": [None, 101, 99, 100], "c": [11, 12, 10, 11]}))
    pairs = {(pair.above, pair.below): pair for pair in found.pairs}
    assert pairs["a", "b"].difference is None and pairs["a", "b"].seeds == 2 and not pairs["a", "b"].told_apart
    assert ranks(found) == {"a": (1, 2), "b": (1, 2), "c": (3, 3)}
    assert board(found).told_apart == 2 and board(found).resolution is not None


def test_never_falling_under_a_limit_ranks_above_nobody() -> None:
    """Protocol 1 put every "> N" above every number: an editor that wrote nothing stood first."""
    found = standings(courses({"lazy": [75, 74, 76], "honest": [400, 401, 398]}))
    assert list(ranks(found).items()) == [("honest", (1, 1)), ("lazy", (2, 2))]


def test_rows_that_hold_nothing_share_the_last_ranks() -> None:
    """Two collapsed before their first checkpoint in every course; the others stay as sharp as without them."""
    honest: Rows = {"a": [300, 330, 280], "b": [290, 321, 271], "c": [200, 229, 181]}
    alone, found = standings(courses(honest)), standings(courses(honest | {"x": [0, 0, 0], "y": [0, 0, 0]}))
    assert ranks(found) == {"a": (1, 1), "b": (2, 2), "c": (3, 3), "x": (4, 5), "y": (4, 5)}
    assert ranks(alone) == {"a": (1, 1), "b": (2, 2), "c": (3, 3)}
    assert found.rows["x"].effective_edits.low == 0.0
    assert not any(pair.told_apart for pair in found.pairs if {pair.above, pair.below} == {"x", "y"})


def test_one_row_that_moves_beside_rows_that_hold_nothing_is_above_them() -> None:
    found = standings(courses({"a": [300, 330, 280], "x": [0, 0, 0]}))
    assert ranks(found) == {"a": (1, 1), "x": (2, 2)}


def test_equal_rows_are_never_told_apart_and_have_a_stable_order() -> None:
    for values in ([100.0, 100, 100], [90.0, 100, 110]):
        found = standings(courses({name: values for name in "cab"}))
        assert list(ranks(found).items()) == [("a", (1, 3)), ("b", (1, 3)), ("c", (1, 3))]


def test_a_row_alone_has_the_first_rank_and_the_interval_of_student() -> None:
    found = standings(courses({"a": [300, 330, 270]}))
    one = found.rows["a"]
    assert (one.rank_low, one.rank_high) == (1, 1) and found.pairs == ()
    assert one.effective_edits.high == pytest.approx(300 + 4.303 * 30 / 3**0.5, rel=1e-3)


def test_intervals_stay_between_nothing_and_all_edits() -> None:
    found = standings(courses({"a": [499, 480, 500], "b": [2, 20, 0]}))
    assert found.rows["a"].effective_edits.high == 500 and found.rows["b"].effective_edits.low == 0


def test_one_course_has_the_interval_of_its_cases() -> None:
    found = standings(courses({"a": [300]}, half=7))
    assert found.rows["a"].effective_edits == Interval(300, 293, 307)


def test_two_courses_have_the_interval_of_their_cases_alone() -> None:
    generator = np.random.default_rng(0)
    draws = {"a0": 300 + generator.normal(0, 10, 1000), "a1": 340 + generator.normal(0, 10, 1000)}
    one = standings(courses({"a": [300, 340]}), draws).rows["a"].effective_edits
    assert one.value == 320 and one.low is not None and one.high is not None
    assert one.high - one.low == pytest.approx(3.92 * 10 / 2**0.5, rel=0.1)
    without = standings(courses({"a": [300, 340]}, half=10)).rows["a"].effective_edits
    assert without == Interval(320, 310, 330)


def test_a_row_that_spreads_widely_says_so() -> None:
    generator = np.random.default_rng(1)
    values = 250 + generator.normal(0, 5, size=(8, 5)) + generator.normal(0, 8, size=5)
    values[0] += np.array([-40.0, 45, -45, 38, 2])
    found = standings(courses({f"r{i}": list(row) for i, row in enumerate(values)}))
    assert {name for name, one in found.rows.items() if one.wide} == {"r0"}


def shared(draws: Draws | None = None, half: float = 10.0) -> Standings:
    """Two editors without chance of their own: asked about the same cases, every seed gives the same number."""
    return standings(courses({"a": [300, 300, 300], "b": [290, 290, 290]}, half), draws, same_cases=True)


def test_seeds_that_ask_the_same_cases_do_not_make_a_difference_sure() -> None:
    """Otherwise three identical runs would prove anything."""
    assert ranks(standings(courses({"a": [300, 300, 300], "b": [290, 290, 290]}))) == {"a": (1, 1), "b": (2, 2)}
    assert ranks(shared()) == {"a": (1, 2), "b": (1, 2)}
    one = shared(half=10).rows["a"].effective_edits
    assert (one.low, one.high) == pytest.approx((290, 310), abs=0.1)


def test_pairing_by_case_tells_rows_apart_whose_intervals_overlap() -> None:
    hard = np.random.default_rng(0).normal(0, 30, 1000)
    own = np.random.default_rng(1).normal(0, 2, 1000)
    draws = {f"a{i}": 300 + hard for i in range(3)} | {f"b{i}": 290 + hard + own for i in range(3)}
    assert ranks(shared(draws, half=60)) == {"a": (1, 1), "b": (2, 2)}


def test_a_row_that_collapsed_before_it_was_measured_spoils_no_pairing() -> None:
    """It has no resamples; they are of cases, and there were none."""
    hard = np.random.default_rng(0).normal(0, 30, 1000)
    draws = {f"{name}{i}": edits + hard for i in range(3) for name, edits in (("a", 300), ("b", 290))}
    nothing = [CourseResult("x", f"x{i}", i, Interval(0.0), 500) for i in range(3)]
    pair = courses({"a": [300, 300, 300], "b": [290, 290, 290]}, half=60)
    assert ranks(standings([*pair, *nothing], draws, same_cases=True)) == {"a": (1, 1), "b": (2, 2), "x": (3, 3)}


def test_order_and_names_of_rows_and_seeds_do_not_matter() -> None:
    generator = np.random.default_rng(4)
    values = generator.normal(300, 4, size=(7, 4)) + np.arange(0, 70, 10)[:, None] + generator.normal(0, 9, size=4)
    values[0, 1] = values[3, 2] = np.nan
    rows: Rows = {f"r{i}": [None if np.isnan(v) else float(v) for v in row] for i, row in enumerate(values)}
    first = standings(courses(rows))
    mixed = [course._replace(seed={0: 7, 1: 3, 2: 10**9, 3: 0}[course.seed]) for course in courses(rows)]
    random.Random(0).shuffle(mixed)
    again = standings(mixed)
    assert ranks(again) == ranks(first) and list(again.rows) == list(first.rows)
    for name, one in first.rows.items():
        assert again.rows[name].effective_edits.low == pytest.approx(one.effective_edits.low)
    assert [pair[:3] for pair in again.pairs] == [pair[:3] for pair in first.pairs]
    assert [pair.least for pair in again.pairs] == pytest.approx([pair.least for pair in first.pairs])


def test_resolution_is_what_two_rows_must_differ_by() -> None:
    found = standings(courses({"a": [300, 330, 280], "b": [290, 322, 270], "c": [200, 229, 181]}))
    least = sorted(pair.least or 0.0 for pair in found.pairs)
    assert board(found).resolution == least[1] and least[1] > 0


def run(name: str, standing: Standing | None = None, **other: Any) -> BoardRow:
    fields: dict[str, Any] = {
        "run_id": name,
        "track_id": "t",
        "standing": standing,
        "editor": name,
        "distribution": "d",
        "version": "1",
        "seed": 0,
        "status": "complete",
        "edits_done": 500,
        "edits_planned": 500,
        "effective_edits": Interval(100.0),
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
        "row_id": name[:1],
    }
    return BoardRow(**fields | other)


def test_runs_stand_by_their_rows_and_unfinished_ones_are_last() -> None:
    best, other = Standing(3, Interval(400.0), 1, 1), Standing(1, Interval(410.0))
    runs = [
        run("open", status="partial", edits_done=200, effective_edits=Interval(999.0)),
        *(run(f"a{seed}", best, seed=seed, effective_edits=Interval(400.0 + seed)) for seed in range(3)),
        run("b0", other),
        run("dead", status="failed", edits_done=300),
    ]
    random.Random(0).shuffle(runs)
    assert [row.run_id for row in in_order(runs)] == ["b0", "a0", "a1", "a2", "dead", "open"]


def test_collapsed_runs_are_courses_and_unmeasured_partial_and_failed_ones_are_not() -> None:
    assert has_ended(run("x", status="collapsed", effective_edits=Interval(0.0)))
    assert not has_ended(run("x", effective_edits=Interval(None)))
    assert not any(has_ended(run("x", status=status)) for status in ("partial", "failed"))
