from __future__ import annotations

import numpy as np
import pytest

from palimpsest.harness.metrics.abilities_kept import abilities_kept, counts


def test_the_ratio_of_sums_by_hand() -> None:
    edited, pristine, chance = [0.6, 0.4], [1.0, 0.7], [0.5, 0.25]
    expected = 100 * (0.1 / 0.5 + 0.15 / 0.75) / (0.5 / 0.5 + 0.45 / 0.75)
    assert abilities_kept(edited, pristine, chance, [200, 200]) == pytest.approx(expected)
    assert abilities_kept([0.4], [0.9], [0.5], [200]) == pytest.approx(-25), "less than guessing is not cut"


def test_only_tasks_surely_above_chance_count() -> None:
    rule = counts([0.6, 0.61, 0.6, 1.0, 1.0, 0.5, 0.0], [0.5] * 6 + [0.0], [200, 200, 300, 8, 9, 10**6, 100])
    assert rule.tolist() == [False, True, True, False, True, False, False]
    assert abilities_kept([0.6, 0.9], [1.0, 0.55], [0.5, 0.5], [200, 200]) == pytest.approx(20)
    assert np.isnan(abilities_kept([0.5], [0.55], [0.5], [200]))


def test_without_a_level_of_chance_nine_right_items_of_a_hundred_count() -> None:
    assert counts([0.08, 0.09, 0.09, 0.0], [0.0] * 4, [100, 100, 90, 100]).tolist() == [False, True, False, False]
    assert abilities_kept([0.03], [0.3], [0.0], [100]) == pytest.approx(10)


def test_a_task_near_chance_that_lost_one_item_moves_little() -> None:
    """A mean of ratios moves by 1.67 points here: the audit's example."""
    items, chance = [200] * 6, [0.5] * 6
    pristine = [1.0] * 5 + [0.61]
    one_less = [*pristine[:5], 0.605]
    assert abilities_kept(one_less, pristine, chance, items) == pytest.approx(100, abs=0.2)
