"""Noise, drift and overlap against sums over single updates, as the paper writes them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from palimpsest.harness.diagnostics.edits import old_edit_drift, overlap, superimposed_noise

SEEDS = st.integers(0, 10_000)


def factors(seed: int, n: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Keys k, activations β (n × 6) and influences α (n × 4) of n single updates."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(n, size, generator=generator).double() for size in (6, 6, 4))  # type: ignore[return-value]


@given(SEEDS)
def test_noise_is_the_sum_over_all_pairs_but_the_edit_with_itself(seed: int) -> None:
    keys, beta, alpha = factors(seed)
    n = len(keys)
    squared, norm = [], []
    for e in range(n):
        pairs = [(i, j) for i in range(n) for j in range(n) if (i, j) != (e, e)]
        squared.append(sum(float((keys[e] @ beta[i]) * (alpha[i] @ alpha[j]) * (beta[j] @ keys[e])) for i, j in pairs))
        others: Tensor = sum((alpha[i] * (beta[i] @ keys[e]) for i in range(n) if i != e), torch.zeros(4))
        norm.append(float(others.norm()))
    update = alpha.T @ beta
    own = alpha * (keys * beta).sum(dim=1, keepdim=True)
    found = superimposed_noise(update, keys, own)
    assert found.squared == pytest.approx(sum(squared) / n, rel=1e-6, abs=1e-8)
    assert found.norm == pytest.approx(sum(norm) / n, rel=1e-6)


def test_a_lone_edit_has_no_noise() -> None:
    keys, beta, alpha = factors(1, n=1)
    found = superimposed_noise(alpha.T @ beta, keys, alpha * (keys @ beta.T))
    assert found.squared == pytest.approx(0, abs=1e-9)
    assert found.norm == pytest.approx(0, abs=1e-9)


@given(SEEDS)
def test_drift_is_the_way_of_the_outputs_since_each_edit(seed: int) -> None:
    keys, beta, alpha = factors(seed)
    weight = torch.randn(4, 6, generator=torch.Generator().manual_seed(seed + 1)).double()
    values, own, after = [], [], []
    for k, b, a in zip(keys, beta, alpha, strict=True):
        weight = weight + torch.outer(a, b)
        values.append(weight @ k)
        own.append(a * (b @ k))
        after.append(weight)
    found = old_edit_drift(weight, keys, torch.stack(values), torch.stack(own))
    moved = [float(((weight - then) @ k).norm()) for then, k in zip(after, keys, strict=True)]
    assert found.absolute == pytest.approx(sum(moved) / len(moved))
    assert found.relative == pytest.approx(sum(moved) / sum(float(o.norm()) for o in own))


def test_drift_relative_to_nothing_is_not_defined() -> None:
    zeros = torch.zeros(2, 4)
    assert math.isnan(old_edit_drift(torch.zeros(4, 6), torch.ones(2, 6), zeros, zeros).relative)


@given(SEEDS)
def test_overlaps_are_means_over_pairs(seed: int) -> None:
    keys, beta, alpha = factors(seed, n=4)
    pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
    found = overlap(keys, beta, alpha)
    cosine = torch.nn.functional.cosine_similarity
    assert found.activation == pytest.approx(sum(abs(float(keys[j] @ beta[i])) for i, j in pairs) / 12)
    assert found.influence == pytest.approx(sum(abs(float(alpha[i] @ alpha[j])) for i, j in pairs) / 12)
    assert found.cosine == pytest.approx(sum(abs(float(cosine(alpha[i], alpha[j], dim=0))) for i, j in pairs) / 12)


def test_overlap_of_one_update_is_not_defined() -> None:
    assert all(math.isnan(value) for value in overlap(*factors(0, n=1)))
