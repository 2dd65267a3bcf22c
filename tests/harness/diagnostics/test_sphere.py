"""Rows on the sphere, and the drift on pretraining keys, against sums written out."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.harness.diagnostics.sphere import pretrained_drift, sphere

SEEDS = st.integers(0, 10_000)


@given(SEEDS)
def test_energy_and_cosines_are_the_sums_over_pairs(seed: int) -> None:
    weight = torch.randn(4, 6, generator=torch.Generator().manual_seed(seed)).double()
    unit = [row / row.norm() for row in weight]
    pairs = [(a, b) for i, a in enumerate(unit) for j, b in enumerate(unit) if i != j]
    found = sphere(weight)
    assert found.energy == pytest.approx(sum(1 / float((a - b).norm()) for a, b in pairs), rel=1e-5)
    cosines = [float(a @ b) for a, b in pairs]
    assert found.cosine_max == pytest.approx(max(cosines))
    assert found.cosine_mean == pytest.approx(sum(cosines) / len(cosines))


def test_energy_of_opposite_rows_is_one() -> None:
    assert sphere(torch.tensor([[2.0, 0.0], [-5.0, 0.0]])).energy == pytest.approx(1)


def test_equal_rows_stay_finite_and_one_row_is_not_defined() -> None:
    assert math.isfinite(sphere(torch.ones(3, 4)).energy)
    assert math.isnan(sphere(torch.ones(1, 4)).energy)


@given(SEEDS, st.floats(0.1, 10))
def test_energy_does_not_depend_on_the_length_of_rows(seed: int, length: float) -> None:
    weight = torch.randn(4, 6, generator=torch.Generator().manual_seed(seed))
    assert sphere(weight * length).energy == pytest.approx(sphere(weight).energy, rel=1e-4)


@given(SEEDS)
def test_pretrained_drift_is_the_mean_squared_change_of_outputs(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    update, keys = torch.randn(4, 6, generator=generator), torch.randn(6, 50, generator=generator)
    expected = float((update @ keys).square().sum(dim=0).mean())
    assert pretrained_drift(update, keys @ keys.T / 50) == pytest.approx(expected, rel=1e-4)
