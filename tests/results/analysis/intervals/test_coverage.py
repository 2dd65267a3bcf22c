"""Every interval of the board holds the true value in 92 to 98 of 100 worlds, by seeded simulation.

``benchmarks/coverage.py`` has the worlds, and more of them.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.coverage import (
    FADING,
    PERFECT,
    STEADY,
    Editor,
    World,
    abilities,
    by_case,
    difference,
    harmonic,
    share,
    two_courses,
    whole_course,
)
from palimpsest.results.analysis.intervals.means import wilson

ALONE, SHARED = World(200), World(200, objects=60, shared=0.1)


@pytest.mark.parametrize("cases", [50, 60, 100, 200, 500])
def test_a_share_of_independent_cases_is_held_wherever_it_lies(cases: int) -> None:
    """Exactly, by the binomial distribution, without drawing anything."""
    right, true = np.arange(cases + 1), np.linspace(0.02, 0.98, 193)[:, None]
    z = stats.t.ppf(0.975, cases - 1)
    low, high = wilson(right / cases, cases, -z), wilson(right / cases, cases, z)
    held = (low <= true + 1e-12) & (high >= true - 1e-12)
    coverage = (stats.binom.pmf(right, cases, true) * held).sum(axis=1)
    assert coverage.min() >= 0.92 and coverage.max() <= 0.982
    assert 0.949 < coverage.mean() < 0.96


@pytest.mark.parametrize("cases", [10, 20, 30])
def test_a_share_of_few_cases_is_held_too(cases: int) -> None:
    right, true = np.arange(cases + 1), np.linspace(0.02, 0.98, 193)[:, None]
    z = stats.t.ppf(0.975, cases - 1)
    held = (wilson(right / cases, cases, -z) <= true) & (wilson(right / cases, cases, z) >= true)
    coverage = (stats.binom.pmf(right, cases, true) * held).sum(axis=1)
    assert coverage.min() > 0.91 and 0.95 < coverage.mean() < 0.98


@pytest.mark.parametrize("true", [0.02, 0.1, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("world", [World(100, 40, 0.1), World(500, 80, 0.0), World(500, 80, 0.2), World(500, 80, 0.5)])
def test_a_share_is_held_whatever_its_cases_have_in_common(world: World, true: float) -> None:
    assert 0.92 <= share(world, true, replicates=1200, seed=1) <= 0.98


@pytest.mark.parametrize("true", [0.02, 0.5, 0.98])
def test_resampling_cases_alone_holds_too_few(true: float) -> None:
    """The worlds are ones in which the rule of protocol 1 fails, else the tests here would show nothing."""
    assert share(World(500, 80, 0.5), true, replicates=500, seed=1, rule=by_case) < 0.9


@pytest.mark.parametrize("true", [0.05, 0.5, 0.95])
def test_a_share_of_several_prompts_per_case_is_held(true: float) -> None:
    assert 0.92 <= share(SHARED, true, replicates=1200, seed=2, probes=5) <= 0.98


@pytest.mark.parametrize("true", [(0.95, 0.9, 0.8), (0.98, 0.98, 0.98), (0.05, 0.03, 0.9), (0.99, 0.6, 0.3)])
@pytest.mark.parametrize("world", [ALONE, SHARED])
def test_a_harmonic_mean_is_held(world: World, true: tuple[float, float, float]) -> None:
    assert 0.92 <= harmonic(world, true, replicates=500, seed=1) <= 0.98


@pytest.mark.parametrize("kept", [0.98, 0.9, 0.5, 0.0])
def test_abilities_kept_are_held(kept: float) -> None:
    assert 0.92 <= abilities(kept, 100, replicates=500, seed=3) <= 0.98


@pytest.mark.parametrize(("world", "editor"), [(SHARED, STEADY), (SHARED, FADING), (ALONE, FADING), (ALONE, PERFECT)])
def test_effective_edits_are_held(world: World, editor: Editor) -> None:
    assert 0.92 <= whole_course(world, editor, replicates=250, seed=0, resamples=300) <= 0.98


@pytest.mark.parametrize("other", [(0.95, 0.9, 0.8), (0.6, 0.5, 0.5)])
@pytest.mark.parametrize("world", [ALONE, SHARED])
def test_the_difference_of_two_scores_on_the_same_cases_is_held(
    world: World, other: tuple[float, float, float]
) -> None:
    assert 0.92 <= difference(world, (0.95, 0.9, 0.8), other, replicates=500, seed=2) <= 0.98


def test_the_difference_of_the_effective_edits_of_two_rows_is_held() -> None:
    assert 0.92 <= two_courses(SHARED, STEADY, FADING, replicates=200, seed=0, resamples=300) <= 0.98
