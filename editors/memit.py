"""MEMIT: least-squares insertion of a batch of facts, spread over layers, regularised by pretraining statistics.

Meng, Sen Sharma, Andonian, Belinkov, Bau 2022 (ICLR 2023), "Mass-Editing Memory in a Transformer", arXiv 2210.07229.

Per layer  min_Δ ‖Δ K − R‖² + λ tr(Δ C0 Δᵀ),  solved by

    Δ = R Kᵀ (λ C0 + K Kᵀ)⁻¹ = R Aᵀ,    A = (λ C0 + K Kᵀ)⁻¹ K

Earlier edits are not protected: only the weights carry over from batch to batch.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from palimpsest.editors.toolkit.linalg import System
from palimpsest.editors.toolkit.pipeline import LocateThenEdit, LocateThenEditConfig


class Memit(LocateThenEdit):
    """Mass-editing by least squares with pretraining key statistics (arXiv 2210.07229)."""

    class Config(LocateThenEditConfig):
        """MEMIT's settings."""

        second_moment_weight: float = Field(gt=0)
        """λ: weight of the pretraining keys' second moment C0."""

    config: Config

    def start(self, layer: int) -> System:
        """S_0 = λ C0, d_in × d_in."""
        moments = self.model.resources.second_moments(self.config.layers, self.config.statistics_tokens)
        return System(self.config.second_moment_weight * moments[layer], self.model.anatomy.d_inner)

    def solve(self, keys: Tensor, layer: int) -> Tensor:
        """A = (λ C0 + K Kᵀ)⁻¹ K, d_in × n, float64.

        Raises:
            ModelCollapsed: The keys or the result are not finite.
        """
        return self.systems[layer].solve(keys)
