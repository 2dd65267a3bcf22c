import pytest

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
