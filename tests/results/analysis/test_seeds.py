import math

import numpy as np
import pytest

from palimpsest.results.analysis.intervals.means import wilson
from palimpsest.results.analysis.seeds import combine, combine_until, half_width, student_quantile
from palimpsest.results.records import EditsUntil, Interval


def test_a_single_seed_keeps_its_own_interval() -> None:
    one = Interval(50.0, 47.0, 54.0, 100)
    assert combine([one]) == one
    assert combine([Interval(None), one]) == one
    assert combine([]) == Interval(None)


def test_seeds_that_agree_keep_the_width_of_the_cases() -> None:
    found = combine([Interval(50.0, 48.0, 52.0, 100)] * 3)
    assert (found.value, found.low, found.high, found.n) == (50.0, 48.0, 52.0, 100)


def test_seeds_that_disagree_widen_it_by_student() -> None:
    assert half_width(0.0, [40.0, 60.0]) == pytest.approx(12.706 * 10, rel=1e-3)
    assert half_width(2.0, [50.0, 50.1, 49.9]) == pytest.approx(2.0, rel=0.01)
    assert student_quantile(float("inf")) == pytest.approx(1.96, abs=1e-3)
    assert student_quantile(2) == pytest.approx(4.303, abs=1e-3)


def test_seeds_with_cases_of_their_own_spread_by_these_already() -> None:
    values = [50.0, 52.0, 54.0]
    assert half_width(2.0, values, own_cases=True) == pytest.approx(4.303 * 2 / math.sqrt(3), rel=1e-3)
    assert half_width(3.0, [50.0] * 3, own_cases=True) == pytest.approx(3.0 / math.sqrt(3))


@pytest.mark.parametrize("own_cases", [True, False])
@pytest.mark.parametrize("truth", [0.06, 0.5, 0.94])
@pytest.mark.parametrize("seeds", [3, 5])
def test_the_mean_over_seeds_holds_the_true_share(own_cases: bool, truth: float, seeds: int) -> None:
    """A seed moves the share by 1.6 points; cases are the seed's own, or the same for all."""
    cases, tracks = 500, 2000
    generator = np.random.default_rng(3)
    shares = np.clip(truth + generator.normal(0, 0.016, (tracks, seeds)), 0, 1)
    difficulty = generator.random((tracks, 1 if not own_cases else seeds, cases))
    values = 100 * (difficulty < shares[:, :, None]).mean(axis=2)
    covered = 0
    for track in values:
        low, high = (100 * wilson(track / 100, cases, z) for z in (-1.96, 1.96))
        intervals = [Interval(*one) for one in zip(track.tolist(), low.tolist(), high.tolist(), strict=True)]
        found = combine(intervals, own_cases=own_cases)
        assert found.low is not None and found.high is not None
        covered += found.low <= 100 * truth <= found.high
    assert 0.92 <= covered / tracks <= 0.98


def test_a_percentage_stays_one() -> None:
    found = combine([Interval(99.0, 98.0, 100.0, 10), Interval(90.0, 85.0, 95.0, 10)])
    assert found.high == 100.0
    assert combine([Interval(3.0), Interval(5.0)], least=None, most=None).low is not None


def test_a_share_above_all_keeps_its_value_inside_its_interval() -> None:
    """Abilities kept may exceed 100 %: the ends are cut, but never past the value."""
    found = combine([Interval(103.0, 101.0, 105.0, 10), Interval(104.0, 102.0, 106.0, 10)])
    assert found.value == 103.5 and found.high == 103.5
    below = combine([Interval(-3.0, -5.0, 1.0, 10), Interval(-4.0, -6.0, 0.0, 10)])
    assert below.value == -3.5 and below.low == -3.5


def test_edits_until_a_limit_are_open_as_soon_as_one_of_them_is() -> None:
    fell, outlasted = EditsUntil(400.0, None, 380.0, 420.0), EditsUntil(None, 500, 470.0, None)
    assert combine_until([outlasted, outlasted]) == EditsUntil(None, 500, 470.0, None)
    mixed = combine_until([fell, outlasted])
    assert (mixed.edits, mixed.censored_at, mixed.high) == (450.0, 500, None)
    both = combine_until([fell, EditsUntil(410.0, None, 390.0, 430.0)])
    assert both.edits == 405.0 and both.low is not None and both.high is not None
    assert both.low <= 385 and both.high >= 425
    assert combine_until([EditsUntil()]) == EditsUntil()
