"""Spread of a weight's rows on the sphere, and the shift by an update of outputs for pretraining keys.

Hyperspherical energy: Liu, Gu, Yao, Wang, Peng 2025 (SPHERE), arXiv 2510.01172.
Drift on pretraining keys: the second term of MEMIT's objective, arXiv 2210.07229.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_NEAR = 1e-8


class Sphere(NamedTuple):
    """Spread of the unit rows of a weight."""

    energy: float
    """Hyperspherical energy: Σ_{i≠j} (2 − 2 ŵ_iᵀŵ_j + 1e-8)^{-1/2}."""
    cosine_max: float
    """Largest ŵ_iᵀŵ_j, i ≠ j."""
    cosine_mean: float
    """Mean of ŵ_iᵀŵ_j, i ≠ j."""


def sphere(weight: Tensor) -> Sphere:
    """Spread of the rows of a d_out × d_in weight, ŵ_i = w_i / ‖w_i‖; all NaN for fewer than two rows."""
    rows = weight.shape[0]
    if rows < 2:
        return Sphere(*[float("nan")] * 3)
    unit = torch.nn.functional.normalize(weight.double(), dim=1, eps=_NEAR)
    cosines = unit @ unit.T  # d_out × d_out
    off = ~torch.eye(rows, dtype=torch.bool, device=weight.device)
    values = cosines[off]
    energy = (2 - 2 * values).clamp_min(0.0).add(_NEAR).rsqrt().sum()
    return Sphere(float(energy), float(values.max()), float(values.mean()))


def pretrained_drift(matrix: Tensor, second_moment: Tensor) -> float:
    """tr(D C0 Dᵀ) = E‖D k‖² over pretraining keys: the expected squared change of the layer's output.

    D is d_out × d_in, C0 = E[k kᵀ] d_in × d_in.
    """
    d = matrix.to(second_moment.device).double()  # statistics may be kept on the CPU
    return float(((d @ second_moment.double()) * d).sum())
