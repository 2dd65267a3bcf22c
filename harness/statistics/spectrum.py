"""Singular values and subspaces of weights; for filters and diagnostics."""

from __future__ import annotations

import torch
from torch import Tensor

from palimpsest.harness.model.pristine_statistics import LeftSpectrum


def left_spectrum(matrix: Tensor) -> LeftSpectrum:
    """Left half of the singular value decomposition, through the eigenvectors of the small Gram matrix M Mᵀ.

    Args:
        matrix: M, m × d, of any precision.

    Returns:
        m singular values, descending, and m × m left singular vectors, in float64.
    """
    wide = matrix.double()
    values, vectors = torch.linalg.eigh(wide @ wide.T)
    return LeftSpectrum(values.flip(0).clamp_min(0.0).sqrt(), vectors.flip(1).contiguous())


def singular_values(matrix: Tensor) -> Tensor:
    """The m singular values of an m × d matrix, descending, float64; cheaper than `left_spectrum`, without vectors."""
    wide = matrix.double()
    squares: Tensor = torch.linalg.eigvalsh(wide @ wide.T)
    return squares.flip(0).clamp_min(0.0).sqrt()


def right_basis(matrix: Tensor, left: Tensor) -> Tensor:
    """The right singular vectors that belong to left ones, up to their signs: d × k, orthonormal, float64.

    Args:
        matrix: M, m × d.
        left: Left singular vectors of M with singular values above zero, m × k, k ≤ d.
    """
    # Mᵀ u = σ v. The QR decomposition in place of a division by σ keeps the basis orthonormal where σ is small.
    basis: Tensor = torch.linalg.qr(matrix.double().T @ left).Q
    return basis
