"""R-ROME: ROME with the same key in the whole update.

Gupta, Baskaran, Anumanchipalli 2024, "Rebuilding ROME: Resolving Model Collapse during Sequential Model Editing",
arXiv 2403.07175.

ROME takes the mean key k̄ for the direction u, but the clean prompt's key k for the residual and the denominator; where
k and u are nearly orthogonal the update explodes and the model is lost. R-ROME has k̄ in all three places:

    u = C0⁻¹ k̄ / ‖C0⁻¹ k̄‖,    Δ = (v* − W k̄) uᵀ / (k̄ᵀ u)

As v* = W k + δ, the residual is v* − W k̄ = δ + W (k − k̄). With C0 positive definite, k̄ᵀ u is never zero.
"""

from __future__ import annotations

from torch import Tensor

from palimpsest.editors.rome import Rome


class RRome(Rome):
    """ROME with the mean key throughout (arXiv 2403.07175)."""

    def residual(self, delta: Tensor, key: Tensor, mean_key: Tensor) -> tuple[Tensor, Tensor]:
        """v* − W k̄, d_out, and the key k̄ that it is added at, d_in."""
        weight = self.model.weight(self.config.layer).double()
        return delta + weight @ (key - mean_key), mean_key
