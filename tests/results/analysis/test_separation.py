"""Separation of the rows of a track: what is told apart, what never is, and how often it errs."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.ranking import Scene, mixed, per_pair, pooled, simulate
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
        (Scene(18, 5, 4.0, wide=2), 0.95, 0.14),
    ],
)
def test_power_and_errors_are_those_of_the_documented_table(scene: Scene, power: float, error: float) -> None:
    found, erred = simulate(scene, mixed, 300, seed=5)
    assert found >= power
    assert erred <= error


def test_two_wide_rows_lead_to_fewer_errors_than_one_variance_for_all() -> None:
    scene = Scene(18, 5, 0.0, wide=2)
    assert simulate(scene, mixed, 300, 5)[1] < 0.7 * simulate(scene, pooled, 300, 5)[1]


def test_the_rule_of_protocol_1_separates_nothing_at_three_seeds() -> None:
    assert simulate(Scene(18, 3, 4.0), per_pair, 100, 5)[0] < 0.05
