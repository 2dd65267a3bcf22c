"""Intervals of means over cases, against published numbers and plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from palimpsest.results.analysis.intervals.clusters import Clusters
from palimpsest.results.analysis.intervals.means import draws, means, wilson


def column(right: int, cases: int) -> np.ndarray:
    return (np.arange(cases) < right).astype(np.float64)[:, None]


@pytest.mark.parametrize(
    ("right", "cases", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_ends_are_those_of_newcombe_1998(right: int, cases: int, low: float, high: float) -> None:
    assert wilson(right / cases, cases, [-1.96, 1.96]) == pytest.approx([low, high], abs=5e-5)


def test_the_end_of_a_share_lies_as_many_of_its_own_errors_away_as_asked() -> None:
    q = wilson(0.9, 50, np.array([-2.0, 1.3]))
    assert (q - 0.9) / np.sqrt(q * (1 - q) / 50) == pytest.approx([-2.0, 1.3])


def test_independent_right_and_wrong_answers_have_wilsons_interval_with_students_quantile() -> None:
    low, high = means(column(43, 50), [True], Clusters(np.arange(50))).interval()
    t = stats.t.ppf(0.975, 49)
    assert [low[0], high[0]] == pytest.approx(wilson(43 / 50, 50, [-t, t]))


def test_a_mean_without_bounds_has_the_usual_interval() -> None:
    values = np.random.default_rng(0).normal(600, 30, size=(40, 1))
    low, high = means(values, [False], Clusters(np.arange(40))).interval()
    assert (low[0], high[0]) == pytest.approx(stats.t.interval(0.95, 39, values.mean(), stats.sem(values[:, 0])))


def test_a_case_of_many_prompts_tells_more_than_one_of_one() -> None:
    generator = np.random.default_rng(1)
    one, ten = ((generator.random((200, k)) < 0.7).mean(axis=1) for k in (1, 10))
    found = means(np.stack([one, ten], axis=1), [True, True], Clusters(np.arange(200)))
    assert found.effective[0] == pytest.approx(200) and 1200 < found.effective[1] < 2800


def test_cases_of_one_object_widen_the_interval_as_the_sum_over_dependent_pairs_has_it() -> None:
    generator = np.random.default_rng(2)
    true, new = generator.integers(0, 12, size=(2, 90))
    values = (generator.random(12)[true] < 0.6).astype(np.float64)
    found = means(values[:, None], [True], Clusters(np.arange(90), [true, new]))
    depend = (true[:, None] == true) | (new[:, None] == new)
    deviations = values - values.mean()
    variance = deviations @ depend @ deviations / 90**2 / (1 - depend.mean())
    factor = variance / (deviations @ deviations / 90 / 89)
    assert factor > 3 and found.effective[0] == pytest.approx(90 / factor)
    groups = min(90**2 / (np.bincount(kind) ** 2).sum() for kind in (true, new))
    freedom = factor**2 / (1 / 89 + (factor - 1) ** 2 / (groups - 1))
    assert found.quantile[0] == pytest.approx(stats.t.ppf(0.975, freedom))


def test_objects_that_differ_less_than_chance_would_have_it_narrow_nothing() -> None:
    alternating = np.tile([0.0, 1.0], 30)[:, None]
    pairs = Clusters(np.arange(60), [np.arange(60) // 2])
    assert (
        means(alternating, [True], pairs).effective[0] == means(alternating, [True], Clusters(np.arange(60))).effective
    )


def test_a_share_of_none_or_all_of_few_cases_has_a_width() -> None:
    """The percentile bootstrap gave [100, 100] for 50 of 50, and so held a true 98 % in no such sample."""
    low, high = means(
        np.concatenate([column(0, 50), column(50, 50)], axis=1), [True] * 2, Clusters(np.arange(50))
    ).interval()
    assert low[0] == 0 and 0.05 < high[0] < 0.09
    assert 0.91 < low[1] < 0.95 and high[1] == 1


def test_absent_values_take_no_part_and_one_case_has_no_interval() -> None:
    values = np.array([[1.0, np.nan, np.nan], [0, np.nan, np.nan], [np.nan, 1, np.nan], [1, np.nan, np.nan]])
    found = means(values, [True] * 3, Clusters(np.arange(4), [np.array([0, 1, 2, 0])]))
    assert (
        found.size.tolist() == [3, 1, 0] and found.value[:2] == pytest.approx([2 / 3, 1]) and np.isnan(found.value[2])
    )
    low, high = found.interval()
    assert low[0] < 2 / 3 < high[0] and np.isnan([low[1:], high[1:]]).all()


def test_draws_of_a_share_spread_as_its_interval_does() -> None:
    generator = np.random.default_rng(3)
    true, new = generator.integers(0, 30, size=(2, 200))
    values = (generator.random((200, 3)) < [0.5, 0.97, 1.0]).astype(np.float64)
    clusters = Clusters(np.arange(200), [true, new])
    found = means(values, [True] * 3, clusters)
    drawn = draws(found, np.arange(200), clusters, 20_000, 0)
    assert (drawn[0] == values.mean(axis=0)).all() and drawn.min() >= 0 and drawn.max() <= 1
    ends = np.quantile(drawn[1:], [0.025, 0.975], axis=0)
    assert ends == pytest.approx(np.stack(found.interval()), abs=0.004)


def test_draws_of_two_runs_with_the_same_answers_are_the_same_and_alike_with_similar_ones() -> None:
    generator = np.random.default_rng(4)
    one = (generator.random((300, 1)) < 0.7).astype(np.float64)
    similar = np.where(generator.random((300, 1)) < 0.9, one, 1 - one)
    clusters = Clusters(np.arange(300))
    first, again, second = (
        draws(means(values, [True], clusters), np.arange(300), clusters, 2000, 0)[1:, 0]
        for values in (one, one, similar)
    )
    assert (first == again).all()
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(np.corrcoef(one[:, 0], similar[:, 0])[0, 1], abs=0.05)
