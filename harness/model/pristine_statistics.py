"""Questions that an editor may ask about the unedited model; `harness.statistics.resources.Resources` answers.

The contract stands beside the model, below the room that fulfils it, so that `EditableModel.resources` has a type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class SecondMoments:
    """Uncentred second moments C0 = E[k kᵀ] of the inputs of down-projections."""

    matrices: Mapping[int, Tensor]
    """Layer → float64, d_in × d_in."""
    tokens: int
    """Number of tokens averaged over."""
    texts_hash: str
    """SHA-256 of the token sequences they come from."""

    def __getitem__(self, layer: int) -> Tensor:
        return self.matrices[layer]


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Eigendecomposition of one C0 in float64, eigenvalues ascending."""

    values: Tensor
    """d_in eigenvalues."""
    vectors: Tensor
    """d_in × d_in; columns are eigenvectors."""


@dataclass(frozen=True, slots=True)
class LeftSpectrum:
    """Singular values of an m × d matrix, m of them, descending, and its left singular vectors, in float64."""

    values: Tensor
    vectors: Tensor
    """m × m; columns are singular vectors."""


class PristineStatistics(Protocol):
    """The four questions that an editor may ask, and where the answers lie."""

    device: torch.device
    """Device on which second moments and spectra are, and where editors solve; the CPU when they are offloaded."""
    used: dict[str, str | int] | None
    """Name, tokens and hash of the statistics that were last asked for."""
    damaged: list[str]
    """Messages about files of the cache that were damaged and are made again."""

    def second_moments(self, layers: Sequence[int], max_tokens: int | None = None) -> SecondMoments:
        """C0 of these layers, each d_in × d_in in float64, over at most ``max_tokens`` tokens.

        Raises:
            MissingResource: There is no text to take them from.
            EditorError: The model was edited already.
        """

    def spectrum(self, layer: int, max_tokens: int | None = None) -> Spectrum:
        """Eigendecomposition of the layer's C0; raises as `second_moments`."""

    def weight_spectrum(self, layer: int) -> LeftSpectrum:
        """Left spectrum of the layer's unedited down-projection, d_out × d_in."""

    def context_templates(self, seed: int | None = None, count: int = 5, length: int = 10) -> list[list[str]]:
        """Groups of templates with one ``{}`` each: the clean one, and ``count`` behind a sampled sentence."""
