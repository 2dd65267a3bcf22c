"""AlphaEdit: updates confined to the approximate null space of the pretraining keys.

Fang, Jiang, Wang, Ma, Jie, Wang, He, Chua 2024 (ICLR 2025), "AlphaEdit: Null-Space Constrained Knowledge Editing for
Language Models", arXiv 2410.02355.

With C0 = U Λ Uᵀ and U_s the eigenvectors whose eigenvalue reaches the threshold, P = I − U_s U_sᵀ, and

    Δ = R Kᵀ P [ (C_p + K Kᵀ) P + L2·I ]⁻¹

Inside the range of P this is the symmetric system (the inverse acts there as that of L2·I + P C_p P + P K Kᵀ P)

    Δ = R Aᵀ,    A = (L2·I + P C_p P + P K (P K)ᵀ)⁻¹ P K

so it is the cumulative system over projected keys, starting from L2·I. Once all layers of the batch are written,
C_p += K' K'ᵀ, K' = keys on the edited model. Neither λ nor C0 itself is in the solve.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from palimpsest.editors.toolkit.linalg import System, projected, removed_directions
from palimpsest.editors.toolkit.pipeline import LocateThenEdit, LocateThenEditConfig
from palimpsest.harness.editor import EditReport


class AlphaEdit(LocateThenEdit):
    """Null-space constrained editing with protection of earlier edits (arXiv 2410.02355)."""

    remembers = True

    class Config(LocateThenEditConfig):
        """AlphaEdit's settings."""

        nullspace_threshold: float = Field(default=0.02, gt=0)
        """Eigenvectors of C0 with an eigenvalue from this on are removed from the update."""
        nullspace_relative: bool = False
        """Take the threshold as a share of the largest eigenvalue."""
        ridge: float = Field(default=10.0, gt=0)
        """L2: weight of the identity in the solve."""

    config: Config
    removed: dict[int, Tensor]
    """Layer → U_s, the removed directions, d_in × s."""

    def start(self, layer: int) -> System:
        """S_0 = L2·I, d_in × d_in, and the layer's removed directions."""
        if layer == self.config.layers[0]:
            self.model.resources.second_moments(self.config.layers, self.config.statistics_tokens)  # one pass for all
            self.removed = {}
        spectrum = self.model.resources.spectrum(layer, self.config.statistics_tokens)
        self.removed[layer] = removed_directions(
            spectrum, self.config.nullspace_threshold, relative=self.config.nullspace_relative
        )
        return System(self.config.ridge, self.model.anatomy.d_inner)

    def solve(self, keys: Tensor, layer: int) -> Tensor:
        """A = (L2·I + P C_p P + P K (P K)ᵀ)⁻¹ P K, d_in × n, float64.

        Raises:
            ModelCollapsed: The keys or the result are not finite.
        """
        return self.systems[layer].solve(projected(self.removed[layer], keys))

    def remember(self, keys: Tensor, layer: int) -> None:
        """P C_p P += P K' (P K')ᵀ; keys are d_in × n."""
        self.systems[layer].remember(projected(self.removed[layer], keys))

    def describe(self, report: EditReport) -> None:
        """The rank of P per layer: it depends on the statistics, so every batch's report states it."""
        for layer, removed in self.removed.items():
            report.counters[f"projector_rank.{layer}"] = self.model.anatomy.d_inner - removed.shape[1]
