"""The headline as a function of arrays: by hand, at its edges, and what may and may not change it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.results.analysis.effective_edits import course, edits_until, effective_edits, quality
from tests.test_rooms import ROOT

NAN = float("nan")
SHARES = st.floats(0, 1)
CURVES = st.lists(st.tuples(st.integers(1, 100), st.tuples(SHARES, SHARES, SHARES, SHARES)), min_size=1, max_size=6)


def area(edits: list[float], values: list[float], collapsed_at: int | None = None) -> float:
    return float(effective_edits(*course(edits, values, collapsed_at)))


def test_quality_by_hand() -> None:
    assert quality(1.0, 0.5, 0.4, 0.8, 0.5) == pytest.approx(4 / (1 + 2 + 2 + 2))
    assert quality(1.0, 1.0, 0.9, 0.8, 1.2) == 1, "more than the unedited model has is no more than all"
    assert quality(1.0, 0.5, 0.4, NAN, 0.5) == pytest.approx(4 / (1 + 2 + 2.5 + 2)), "no unedited model: as it is"
    assert quality(1.0, 0.5, 0.0, 0.0, 0.5) == pytest.approx(4 / (1 + 2 + 1 + 2)), "nothing was there to be lost"
    assert quality(1.0, 0.5, 0.4, 0.8, NAN) == pytest.approx(3 / (1 + 2 + 2)), "what was not measured is left out"
    for place in range(5):
        shares = [0.5] * 5
        if place != 3:
            shares[place] = 0.0
            assert quality(*shares) == 0
    assert quality(1.0, 1.0, 1.0, 1.0, -0.2) == 0
    assert np.isnan(quality(NAN, NAN, NAN, NAN, NAN))


def test_area_by_hand() -> None:
    assert area([10, 20], [0.8, 0.4]) == pytest.approx(10 * 0.8 + 10 * 0.6)
    assert area([500], [1.0]) == 500
    assert area([10, 20], [0.8, 0.8], 30) == pytest.approx(20 * 0.8 + 10 * 0.4)
    assert area([10, 20], [0.8, 0.8], 20) == pytest.approx(20 * 0.8), "a collapse right after a checkpoint"
    both = effective_edits(*course([10, 20], [[0.8, 0.4], [1.0, 1.0]]))
    assert both == pytest.approx([14, 20])


def test_the_example_of_the_documents() -> None:
    """The table of docs/metrics.md, recomputed by plain arithmetic and by the functions."""
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8").partition("## Effective edits by hand")[2]
    rows = [
        [float(cell) for cell in row] for row in re.findall(r"^\| (\d+)" + r" \| ([\d.]+)" * 6 + r" \|$", text, re.M)
    ]
    collapsed_at = int(re.search(r"collapses after (\d+)", text)[1])  # type: ignore[index]
    area, before = 0.0, (0.0, 0.0)
    for edits, efficacy, paraphrase, near, against, abilities, told in rows:
        shares = [efficacy / 100, paraphrase / 100, min(1, near / 80), min(1, abilities / 100)]
        assert against == pytest.approx(100 * near / 80)
        value = 4 / sum(1 / share for share in shares)
        assert round(100 * value, 1) == told
        before = before if area else (0.0, value)
        area += (edits - before[0]) * (value + before[1]) / 2
        before = (edits, value)
    area += (collapsed_at - before[0]) * before[1] / 2
    columns = np.array(rows).T
    held = quality(*columns[1:4] / 100, 0.8, columns[5] / 100)
    curve = course(columns[0], held, collapsed_at)
    assert float(effective_edits(*curve)) == pytest.approx(area)
    assert f"=  {area:.1f} effective edits" in text
    assert f"after {float(edits_until(curve[0], curve[1][None], 0.8)[0]):.1f} edits" in text


def test_edits_until_a_limit() -> None:
    edits, values = course([100, 200], [[0.9, 0.7], [0.9, 0.8], [0.6, 0.9], [0.9, 0.9]])
    assert edits_until(edits, values, 0.8).tolist() == pytest.approx([150, np.inf, 0, np.inf])
    assert edits_until(*course([100], [[0.9]], 200), 0.45) == pytest.approx([150])
    assert edits_until(*course([100], [[0.9]], 100), 0.5) == pytest.approx([100])
    assert edits_until(edits, values, np.array([0.5, 0.85, 0.5, 0.95])).tolist() == pytest.approx(
        [np.inf, 150, np.inf, 0]
    )


def h(shares: np.ndarray, unedited: float) -> np.ndarray:
    efficacy, paraphrase, neighborhood, abilities = shares.T
    return quality(efficacy, paraphrase, neighborhood, unedited, abilities)


@settings(max_examples=100, deadline=None)
@given(CURVES, st.floats(0.05, 1), st.data())
def test_raising_a_share_never_lowers_the_headline_and_never_lifts_it_over_its_bound(
    points: list[tuple[int, tuple[float, ...]]], unedited: float, data: st.DataObject
) -> None:
    edits = np.cumsum([gap for gap, _ in points])
    shares = np.array([values for _, values in points])
    before = area(list(edits), h(shares, unedited).tolist())
    row, column = data.draw(st.integers(0, len(edits) - 1)), data.draw(st.integers(0, 3))
    raised = shares.copy()
    raised[row, column] = data.draw(st.floats(shares[row, column], 1))
    after = area(list(edits), h(raised, unedited).tolist())
    assert before - 1e-9 <= after <= edits[-1] + 1e-9
    assert before >= 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(2, 100), SHARES), min_size=1, max_size=6), st.floats(0.01, 0.99))
def test_a_point_on_the_line_between_two_checkpoints_changes_nothing(
    points: list[tuple[int, float]], part: float
) -> None:
    edits = np.cumsum([gap for gap, _ in points]).astype(float)
    values = np.array([value for _, value in points])
    full_edits, full = course(edits, values)
    between = (1 - part) * full_edits[:-1] + part * full_edits[1:]
    finer = np.sort(np.concatenate([edits, between]))
    assert area(finer.tolist(), np.interp(finer, full_edits, full).tolist()) == pytest.approx(
        area(edits.tolist(), values.tolist()), abs=1e-9
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(SHARES, min_size=2, max_size=6))
def test_for_a_falling_curve_it_is_the_mean_over_all_limits_of_the_edits_until_them(values: list[float]) -> None:
    falling = np.sort(values)[::-1]
    edits, curve = course(100.0 * np.arange(1, len(values) + 1), falling)
    limits = (np.arange(4000) + 0.5) / 4000
    until = np.minimum(edits_until(edits, np.tile(curve, (4000, 1)), limits), edits[-1])
    assert until.mean() == pytest.approx(float(effective_edits(edits, curve)), abs=0.5)


@settings(max_examples=50, deadline=None)
@given(st.lists(SHARES, min_size=1, max_size=6), st.integers(0, 99), st.integers(0, 99))
def test_a_later_collapse_is_no_worse(values: list[float], one: int, other: int) -> None:
    edits = [100.0 * (i + 1) for i in range(len(values))]
    early, late = sorted((int(edits[-1]) + one, int(edits[-1]) + other))
    assert area(edits, values) <= area(edits, values, early) <= area(edits, values, late) + 1e-9
