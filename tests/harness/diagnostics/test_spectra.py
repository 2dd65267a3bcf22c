"""Spectra against numpy's own singular values, and identities that hold for every weight."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from palimpsest.harness.diagnostics import spectra
from palimpsest.harness.statistics.spectrum import left_spectrum, singular_values

SEEDS = st.integers(0, 10_000)


def random(rows: int, columns: int, seed: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def orthogonal(size: int, seed: int) -> Tensor:
    basis: Tensor = torch.linalg.qr(random(size, size, seed).double()).Q
    return basis


def made(values: list[float], columns: int, seed: int = 0) -> Tensor:
    """A weight with these singular values."""
    left, right = orthogonal(len(values), seed), orthogonal(columns, seed + 1)[:, : len(values)]
    return left @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ right.T


@given(SEEDS)
def test_singular_values_are_those_of_numpy(seed: int) -> None:
    weight = random(5, 9, seed)
    expected = np.linalg.svd(weight.double().numpy(), compute_uv=False)
    assert np.allclose(left_spectrum(weight).values, expected, rtol=1e-9)
    assert np.allclose(singular_values(weight), expected, rtol=1e-9)


@given(SEEDS, st.integers(1, 5))
def test_leading_directions_are_singular_pairs(seed: int, rank: int) -> None:
    weight = random(5, 9, seed)
    parts = left_spectrum(weight)
    there = spectra.leading(weight, parts, rank)
    signs = torch.sign((there.left.T @ weight.double() @ there.right).diagonal())  # right vectors have free signs
    assert torch.allclose(weight.double() @ there.right, there.left * parts.values[:rank] * signs, atol=1e-8)
    assert torch.allclose(there.right.T @ there.right, torch.eye(rank, dtype=torch.float64), atol=1e-7)


def test_condition_number_leaves_out_zeros() -> None:
    assert spectra.condition_number(singular_values(made([8.0, 4.0, 2.0], 6))) == pytest.approx(4)
    assert spectra.condition_number(singular_values(made([8.0, 4.0, 0.0], 6))) == pytest.approx(2)
    assert math.isnan(spectra.condition_number(torch.zeros(3)))


def test_protected_rank_is_the_smallest_that_reaches_the_share() -> None:
    values = torch.tensor([4.0, 3.0, 2.0, 1.0])
    assert [spectra.protected_rank(values, share) for share in (0.1, 0.4, 0.41, 0.7, 0.71, 1.0)] == [1, 1, 2, 2, 3, 4]


@given(SEEDS)
def test_similarity_of_a_weight_with_itself_is_one(seed: int) -> None:
    weight = random(5, 9, seed)
    there = spectra.leading(weight, left_spectrum(weight), 3)
    assert spectra.subspace_similarity(there, there) == pytest.approx(1)
    assert spectra.vector_similarity(there, there) == pytest.approx(1)


def test_turning_inside_the_subspace_lowers_only_the_similarity_of_vectors() -> None:
    basis, other = orthogonal(4, 0), orthogonal(6, 1)
    before = spectra.Leading(basis[:, :2], other[:, :2])
    angle = math.pi / 3
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)
    after = spectra.Leading(before.left @ turn, before.right @ turn)
    assert spectra.subspace_similarity(before, after) == pytest.approx(1)
    assert spectra.vector_similarity(before, after) == pytest.approx(math.cos(angle))


def test_unrelated_subspaces_have_similarity_zero() -> None:
    basis, other = orthogonal(4, 0), orthogonal(6, 1)
    before = spectra.Leading(basis[:, :2], other[:, :2])
    after = spectra.Leading(basis[:, 2:], other[:, 2:4])
    assert spectra.subspace_similarity(before, after) == pytest.approx(0, abs=1e-12)


@given(SEEDS, st.integers(1, 4))
def test_protected_energy_is_what_the_two_projections_remove(seed: int, rank: int) -> None:
    weight, update = random(5, 9, seed), random(5, 9, seed + 1)
    there = spectra.leading(weight, left_spectrum(weight), rank)
    safe = update.double() - there.left @ (there.left.T @ update.double())
    safe = safe - (safe @ there.right) @ there.right.T
    expected = 1 - float(safe.square().sum() / update.double().square().sum())
    assert spectra.protected_energy(update, there) == pytest.approx(expected, abs=1e-9)


def test_protected_energy_of_no_update_is_not_defined() -> None:
    weight = random(5, 9, 0)
    there = spectra.leading(weight, left_spectrum(weight), 2)
    assert math.isnan(spectra.protected_energy(torch.zeros(5, 9), there))


@given(SEEDS, st.sampled_from([1.0, 20.0, 40.0, 70.0, 100.0]))
def test_truncated_keeps_the_largest_components(seed: int, percent: float) -> None:
    weight = random(5, 9, seed)
    u, s, v = np.linalg.svd(weight.double().numpy(), full_matrices=False)
    rank = spectra.components(5, percent)
    expected = (u[:, :rank] * s[:rank]) @ v[:rank]
    assert np.allclose(spectra.truncated(weight, percent), expected, atol=1e-5)


def test_all_components_are_the_weight_to_the_bit() -> None:
    weight = random(5, 9, 3)
    assert torch.equal(spectra.truncated(weight, 100), weight)


def test_ranks_of_known_spectra() -> None:
    even, lone = torch.ones(8), torch.tensor([5.0, 0.0, 0.0])
    assert spectra.effective_rank(even) == pytest.approx(8)
    assert spectra.stable_rank(even) == pytest.approx(8)
    assert spectra.effective_rank(lone) == spectra.stable_rank(lone) == pytest.approx(1)
    assert spectra.effective_rank(torch.tensor([0.5, 0.25, 0.25])) == pytest.approx(2**1.5)
    assert spectra.stable_rank(torch.tensor([4.0, 2.0, 2.0])) == 2


@given(SEEDS, st.sampled_from([(3, 7), (7, 3)]))
def test_key_spectrum_is_that_of_the_second_moment(seed: int, shape: tuple[int, int]) -> None:
    keys = random(*shape, seed)
    whole = torch.linalg.eigvalsh(keys.double().T @ keys.double()).flip(0)[: min(shape)]
    assert torch.allclose(spectra.key_spectrum(keys).flip(0), whole, rtol=1e-9, atol=1e-9)
    assert spectra.stable_rank(spectra.key_spectrum(keys)) == pytest.approx(
        float(keys.double().norm() ** 2 / torch.linalg.matrix_norm(keys.double(), 2) ** 2)
    )
