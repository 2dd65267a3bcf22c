"""Trace of single edits in a weight, and overlap between edits; from a sample of stored edits.

Superimposed noise and both overlaps: Cao, Cai et al. 2025 (DeltaEdit), arXiv 2505.07899.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Noise(NamedTuple):
    """Superimposed noise, means over edits."""

    squared: float
    """‖Σ_i Δ_i k_e‖² − ‖Δ_e k_e‖²; negative where later updates undo the edit."""
    norm: float
    """‖Σ_{i≠e} Δ_i k_e‖."""


class Drift(NamedTuple):
    """Distance by which the outputs for stored edits have moved since they were written."""

    absolute: float
    """Mean ‖W_t k_e − v_e‖."""
    relative: float
    """The same, divided by mean ‖Δ_e k_e‖; NaN if the edits changed nothing."""


class Overlap(NamedTuple):
    """Overlap between updates, as means over ordered pairs i ≠ j."""

    activation: float
    """|k_jᵀ β_i|."""
    influence: float
    """|α_iᵀ α_j|."""
    cosine: float
    """|cos(α_i, α_j)|."""


def superimposed_noise(update: Tensor, keys: Tensor, own: Tensor) -> Noise:
    """Noise of all updates but an edit's own, at its key (arXiv 2505.07899).

    Args:
        update: D = W_t − W_0 = Σ_i Δ_i, d_out × d_in.
        keys: k_e, n × d_in.
        own: Δ_e k_e, n × d_out.
    """
    all_of_them = keys.double() @ update.double().T  # n × d_out
    mine = own.double()
    squared = all_of_them.square().sum(dim=1) - mine.square().sum(dim=1)
    return Noise(float(squared.mean()), float((all_of_them - mine).norm(dim=1).mean()))


def old_edit_drift(weight: Tensor, keys: Tensor, values: Tensor, own: Tensor) -> Drift:
    """Mean ‖W_t k_e − v_e‖. Its square, summed over the edits, is tr(D_after C_p D_afterᵀ).

    Args:
        weight: W_t, d_out × d_in.
        keys: k_e, n × d_in.
        values: v_e = W k_e right after the edit, n × d_out.
        own: Δ_e k_e, n × d_out.
    """
    moved = (keys.double() @ weight.double().T - values.double()).norm(dim=1).mean()
    written = own.double().norm(dim=1).mean()
    return Drift(float(moved), float(moved / written) if float(written) else float("nan"))


def overlap(keys: Tensor, activation: Tensor, influence: Tensor) -> Overlap:
    """Overlaps of single updates Δ_i = α_i β_iᵀ; NaN for fewer than two.

    Args:
        keys: k_i, n × d_in.
        activation: β_i, n × d_in.
        influence: α_i, n × d_out.
    """
    n = len(keys)
    if n < 2:
        return Overlap(*[float("nan")] * 3)
    alpha = influence.double()
    unit = torch.nn.functional.normalize(alpha, dim=1)
    products = (keys.double() @ activation.double().T, alpha @ alpha.T, unit @ unit.T)  # each n × n
    return Overlap(*[_off_diagonal_mean(product.abs()) for product in products])


def _off_diagonal_mean(square: Tensor) -> float:
    n = len(square)
    return float((square.sum() - square.diagonal().sum()) / (n * (n - 1)))
