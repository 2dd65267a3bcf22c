"""Separation of the rows of a track: what is told apart, what never is, and how often it errs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.ranking import Scene, coverage, mixed, per_pair, pooled, protocol_1, simulate
from palimpsest.results.analysis.separation import separate


def track(rows: int = 18, seeds: int = 5, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(rows, seeds)) + generator.normal(0, 2, size=seeds)


def test_a_seed_that_moves_all_rows_alike_changes_no_comparison() -> None:
    values = track()
    moved = separate(values + np.array([100.0, -50, 0, 7, 3]))
    assert np.allclose(moved.difference, separate(values).difference)
    assert np.allclose(moved.least, separate(values).least)


def test_the_order_of_rows_and_seeds_does_not_matter() -> None:
    values = track()
    rows, seeds = np.random.default_rng(1).permutation(18), np.random.default_rng(2).permutation(5)
    assert np.allclose(separate(values[rows][:, seeds]).least, separate(values).least[np.ix_(rows, rows)])


def test_a_complete_table_has_the_degrees_of_freedom_of_a_two_way_layout() -> None:
    assert separate(track(18, 3)).freedom == pytest.approx(17 * 2)
    assert separate(track(6, 5)).freedom == pytest.approx(5 * 4)


def test_rows_are_compared_over_the_seeds_that_both_have() -> None:
    values = track(6, 6)
    values[0, :2] = np.nan
    values[1, 4:] = np.nan
    found = separate(values)
    assert np.isnan(found.difference[0, 1]), "two shared seeds are too few"
    assert found.difference[0, 2] == pytest.approx((values[0, 2:] - values[2, 2:]).mean())
    assert found.least[0, 2] > found.least[2, 3], "fewer shared seeds need a larger difference"


def test_a_row_that_spreads_widely_is_compared_by_a_wide_margin_and_leaves_the_others_theirs() -> None:
    values = track(seed=3)
    values[-1] += np.array([-9.0, 9, -9, 9, 0])
    wide, quiet = separate(values), separate(track(seed=3))
    assert wide.wild[-1] > 0.99
    assert wide.least[0, -1] > 1.8 * wide.least[0, 1]
    assert wide.least[0, 1] < 1.2 * quiet.least[0, 1]


def test_a_row_that_collapses_in_one_of_its_courses_leaves_the_others_their_margin() -> None:
    values = track(seed=3)
    values[-1, 2] -= 60
    collapsed, quiet = separate(values), separate(track(seed=3))
    assert collapsed.wild[-1] > 0.99
    assert collapsed.least[0, 1] < 1.2 * quiet.least[0, 1]
    own = values[-1] - values[:-1].mean(axis=0)
    assert collapsed.variance[-1] == pytest.approx(own.var(ddof=1), rel=0.7)
    assert not collapsed.better[:, -1].any(), "one bad course of five shows nothing about the next"


def test_equal_rows_are_never_told_apart() -> None:
    assert not separate(np.zeros((4, 3))).better.any()
    assert not separate(np.tile(np.array([1.0, 5, 9]), (4, 1))).better.any()


@pytest.mark.parametrize(
    ("scene", "power", "error"),
    [
        (Scene(18, 3, 4.0), 0.75, 0.06),
        (Scene(18, 5, 4.0), 0.97, 0.07),
        (Scene(18, 5, 2.0), 0.25, 0.07),
        (Scene(18, 5, 0.0), 0.00, 0.07),
        (Scene(18, 5, 4.0, wide=2), 0.95, 0.16),
        (Scene(18, 5, 4.0, wide=1, spread=10.0), 0.95, 0.14),
        (Scene(18, 5, 4.0, wide=1, spread=30.0), 0.95, 0.14),
        (Scene(18, 3, 4.0, wide=1, spread=30.0), 0.70, 0.14),
    ],
)
def test_power_and_errors_are_those_of_the_documented_table(scene: Scene, power: float, error: float) -> None:
    found, erred = simulate(scene, mixed, 300, seed=5)
    assert found >= power
    assert erred <= error


def test_two_wide_rows_lead_to_fewer_errors_than_one_variance_for_all() -> None:
    scene = Scene(18, 5, 0.0, wide=2)
    assert simulate(scene, mixed, 300, 5)[1] < 0.7 * simulate(scene, pooled, 300, 5)[1]


@pytest.mark.parametrize("rule", [protocol_1, per_pair])
def test_pairs_one_by_one_separate_nothing_at_three_seeds(rule: Callable[[np.ndarray], np.ndarray]) -> None:
    assert simulate(Scene(18, 3, 4.0), rule, 100, 5)[0] < 0.05


@pytest.mark.parametrize("rows", [1, 2, 18])
@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_hold_what_they_should(rows: int, seeds: int) -> None:
    """Over 400 tracks; a track's rows share their seeds, so its intervals miss together."""
    assert 0.92 <= coverage(Scene(rows, seeds, 0.0), 400, seed=0)[0] <= 0.98


def test_intervals_of_rows_that_spread_widely_hold_what_they_should() -> None:
    quiet, wide = coverage(Scene(18, 5, 0.0, wide=2), 400, seed=2)
    assert 0.92 <= quiet <= 0.98 and 0.92 <= wide <= 0.98


def test_intervals_hold_where_rows_lack_some_seeds() -> None:
    assert 0.92 <= coverage(Scene(9, 6, 0.0, missing=0.3), 400, seed=3)[0] <= 0.98


def test_a_row_that_never_moves_widens_no_other() -> None:
    values = track(6, 4)
    found = separate(np.concatenate([values, np.zeros((2, 4))]))
    assert np.allclose(found.variance[:6], separate(values).variance)
    assert np.allclose(found.half[:6], separate(values).half)
    assert found.difference[6, 7] == 0 and not found.better[6:, 6:].any()


def test_what_drawing_other_cases_would_do_is_added() -> None:
    values = track(4, 3)
    cases = np.full((4, 4), 20.0) + np.eye(4)
    alone, drawn = separate(values), separate(values, cases)
    assert np.allclose(drawn.least**2 - alone.least**2, separate(values, cases / 2).least ** 2 * 2 - alone.least**2 * 2)
    assert (drawn.half > alone.half).all() and (drawn.least[0, 1:] > alone.least[0, 1:]).all()
