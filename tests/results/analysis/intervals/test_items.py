"""Intervals of ability tasks and of what of them is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from palimpsest.results.analysis.intervals.items import (
    AbilityItems,
    ability_intervals,
    draw_counts,
    drawn_kept,
    score_interval,
)
from palimpsest.results.analysis.intervals.means import wilson


def items(name: str, right: float, pristine: float, count: int = 200, chance: float = 0.25) -> AbilityItems:
    order = np.random.default_rng(len(name)).permutation(count)
    return AbilityItems(name, chance, order < right * count, order < pristine * count)


def test_draws_are_resamples_and_seeded() -> None:
    counts = draw_counts(50, 2000, seed=1)
    assert (counts.sum(axis=1) == 50).all() and counts.mean() == pytest.approx(1)
    assert counts.var() == pytest.approx(1 - 1 / 50, abs=0.05)
    assert (counts == draw_counts(50, 2000, seed=1)).all() and (counts != draw_counts(50, 2000, seed=2)).any()


def test_the_score_of_a_task_has_wilsons_interval() -> None:
    found = score_interval(np.arange(100) < 97)
    assert found.value == 97 and found.n == 100
    assert (found.low, found.high) == pytest.approx(tuple(100 * wilson(0.97, 100, [-1.9842, 1.9842])), abs=1e-3)
    assert score_interval(np.ones(100, bool)).low == pytest.approx(96.2, abs=0.1)
    one = score_interval(np.ones(1, bool))
    assert one.value == 100 and one.low is one.high is None
    assert score_interval(np.zeros(0, bool)).value is None


def test_abilities() -> None:
    kept, single = ability_intervals([items("recall", 0.6, 0.95), items("sums", 0.95, 0.95)])
    assert kept.value == pytest.approx(100 * (0.35 + 0.7) / 1.4) and kept.n == 400
    assert kept.low and kept.high and kept.low < kept.value < kept.high
    assert single["recall"].value == pytest.approx(60)
    unable = items("unable", 0.2, 0.25)
    assert ability_intervals([items("recall", 0.6, 0.95), unable])[0].value == pytest.approx(50)
    assert ability_intervals([unable])[0].value is None
    with pytest.raises(ValueError, match="bad: 2 items, but 3"):
        ability_intervals([AbilityItems("bad", 0.5, np.ones(2, bool), np.ones(3, bool))])


def test_the_interval_of_abilities_kept_is_bounded_where_a_task_is_barely_above_chance() -> None:
    """The audit's case gave an upper end of 5.8e8 %: five perfect tasks and one at 110 of 200, chance 50 %."""
    perfect = [items(f"task {'x' * i}", 1.0, 1.0, chance=0.5) for i in range(5)]
    kept, _ = ability_intervals([*perfect, items("near chance", 0.55, 0.55, chance=0.5)])
    assert kept.value == 100 and kept.n == 1000
    assert (kept.low, kept.high) == pytest.approx((99.4, 100.6), abs=0.1), "three items of 1,000, twice above chance"
    barely = items("barely", 0.5, 0.61, chance=0.5)
    alone, _ = ability_intervals([barely])
    assert alone.value == 0 and alone.low is not None and -300 < alone.low < 0 and alone.high and alone.high < 100
    order = np.random.default_rng(3).permutation(200)
    worse, _ = ability_intervals([replace(barely, correct=order < 62)])
    assert worse.low is not None and -700 < worse.low < (worse.value or 0)


def test_a_model_on_which_no_item_changed_may_have_lost_three() -> None:
    kept, _ = ability_intervals([items("recall", 0.9, 0.9)])
    one = 100 / (200 * 0.65)
    assert (kept.value, kept.low, kept.high) == pytest.approx((100, 100 - 3 * one, 100 + 3 * one), abs=one / 2)


def test_resamples_draw_the_same_items_for_two_models() -> None:
    same, other = items("recall", 0.8, 0.9), items("recall", 0.7, 0.9)
    assert (drawn_kept([same]) == drawn_kept([same])).all()
    assert np.corrcoef(drawn_kept([same]), drawn_kept([other]))[0, 1] > 0.6
    assert np.isnan(drawn_kept([items("unable", 0.2, 0.25)])).all()
    assert drawn_kept([same], resamples=0) == pytest.approx([0.55 / 0.65])
