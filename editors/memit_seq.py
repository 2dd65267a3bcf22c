"""MEMIT-Seq: MEMIT that also protects the keys of earlier batches.

The sequential form of MEMIT in Fang et al. 2024, arXiv 2410.02355; "MEMIT aligned" in arXiv 2605.26670.

    Δ = R Kᵀ (λ C0 + C_p + K Kᵀ)⁻¹ = R Aᵀ,    A = (λ C0 + C_p + K Kᵀ)⁻¹ K

and once all layers of the batch are written  C_p += K' K'ᵀ,  K' = keys on the edited model.
"""

from __future__ import annotations

from torch import Tensor

from palimpsest.editors.memit import Memit


class MemitSeq(Memit):
    """MEMIT with the keys of all earlier batches in the system (arXiv 2410.02355, 2605.26670)."""

    remembers = True

    def remember(self, keys: Tensor, layer: int) -> None:
        """C_p += K' K'ᵀ; keys are d_in × n."""
        self.systems[layer].remember(keys)
