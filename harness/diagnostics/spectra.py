"""Singular values and leading singular directions of a weight, and what compares those of two weights.

REVIVE: Zhang et al. 2026, "Spectral Characterization and Mitigation of Sequential Knowledge Editing Collapse",
arXiv 2601.11042. PRUNE: Ma, Wang, Xu, Ling, Gu 2024, arXiv 2405.16821.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from palimpsest.harness.model.pristine_statistics import LeftSpectrum
from palimpsest.harness.statistics.spectrum import left_spectrum, right_basis

PROTECTED_SHARE = 0.1
"""τ: the protected subspace carries this share of the sum of the singular values of W_0 (REVIVE's default)."""
NONZERO = 1e-6
"""Singular values below this share of the largest count as zero: W Wᵀ in float64 resolves no smaller ones."""


@dataclass(frozen=True, slots=True)
class Leading:
    """The k leading singular directions of a weight."""

    left: Tensor
    """U_k, d_out × k."""
    right: Tensor
    """V_k, d_in × k."""


def leading(weight: Tensor, parts: LeftSpectrum, rank: int) -> Leading:
    """U_k and V_k of a d_out × d_in weight, from its `left_spectrum`; the first k singular values must not be zero."""
    left = parts.vectors[:, :rank]
    return Leading(left, right_basis(weight, left))


def protected_rank(values: Tensor, share: float = PROTECTED_SHARE) -> int:
    """min{k : Σ_{i≤k} σ_i ≥ share · Σ_i σ_i}: how many directions REVIVE protects (arXiv 2601.11042, before Eq. 5)."""
    reached = values.cumsum(0) >= share * values.sum() * (1 - 1e-12)
    return int(reached.nonzero()[0]) + 1 if bool(reached.any()) else len(values)


def condition_number(values: Tensor) -> float:
    """κ = σ_max / σ_min over the nonzero (`NONZERO`) among descending singular values; NaN for a weight of zeros."""
    present = values[values > NONZERO * values[0]]
    return float(present[0] / present[-1]) if len(present) else float("nan")


def subspace_similarity(pristine: Leading, now: Leading) -> float:
    """LS: mean of ‖U_k(0)ᵀ U_k(t)‖_F² / k and the same of V; 1: the same subspace, k / d: unrelated ones.

    A reconstruction: REVIVE's paper (arXiv 2601.11042) names the measure without a formula that could be checked.
    """
    rank = pristine.left.shape[1]
    left = (pristine.left.T @ now.left).square().sum() / rank
    right = (pristine.right.T @ now.right).square().sum() / rank
    return float((left + right) / 2)


def vector_similarity(pristine: Leading, now: Leading) -> float:
    """SS: mean over i ≤ k of |⟨u_i(0), u_i(t)⟩|, the same of v, and the mean of both; vectors paired by their rank.

    A reconstruction, as `subspace_similarity`. Vectors of nearly equal singular values may change places by a small
    update, which SS sees and LS does not.
    """
    left = (pristine.left * now.left).sum(dim=0).abs().mean()
    right = (pristine.right * now.right).sum(dim=0).abs().mean()
    return float((left + right) / 2)


def protected_energy(update: Tensor, protected: Leading) -> float:
    """(‖U_kᵀ D‖² + ‖D V_k‖² − ‖U_kᵀ D V_k‖²) / ‖D‖², Frobenius: the share of D that REVIVE would remove, 0 to 1.

    Args:
        update: D, d_out × d_in; NaN is returned if it is zero.
        protected: Leading directions of the pristine weight.
    """
    d = update.double()
    total = d.square().sum()
    if not float(total):
        return float("nan")
    rows = protected.left.T @ d  # k × d_in
    columns = d @ protected.right  # d_out × k
    both = rows @ protected.right  # k × k
    return float((rows.square().sum() + columns.square().sum() - both.square().sum()) / total)


def truncated(weight: Tensor, percent: float) -> Tensor:
    """A d_out × d_in weight with its ``percent`` % largest singular components, at least one: U_p U_pᵀ W, float32."""
    rank = components(min(weight.shape), percent)
    if rank >= min(weight.shape):
        return weight.clone()
    left = left_spectrum(weight).vectors[:, :rank]
    return (left @ (left.T @ weight.double())).float()


def components(rank: int, percent: float) -> int:
    """Number of components that ``percent`` % of ``rank`` are: rounded, at least one."""
    return max(1, min(rank, round(rank * percent / 100)))


def effective_rank(spectrum: Tensor) -> float:
    """exp(H(p)), p = λ / Σλ: the number of directions that a spectrum λ ≥ 0 spreads over; NaN for one of zeros.

    Roy and Vetterli 2007, "The effective rank". Here λ are the eigenvalues of C_p = Σ k kᵀ.
    """
    total = spectrum.sum()
    if not float(total):
        return float("nan")
    p = spectrum / total
    return float(torch.special.entr(p).sum().exp())


def stable_rank(spectrum: Tensor) -> float:
    """Σλ / max λ = tr(C_p) / ‖C_p‖_2, which is ‖K‖_F² / ‖K‖_2² of the keys; NaN for a spectrum of zeros."""
    return float(spectrum.sum() / spectrum.max()) if float(spectrum.sum()) else float("nan")


def key_spectrum(keys: Tensor) -> Tensor:
    """Eigenvalues of C_p = Σ k kᵀ, of n × d_in keys, that can differ from zero, in no particular order."""
    wide = keys.double()
    small = wide @ wide.T if wide.shape[0] <= wide.shape[1] else wide.T @ wide
    squares: Tensor = torch.linalg.eigvalsh(small)
    return squares.clamp_min(0.0)
