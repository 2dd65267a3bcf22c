"""REVIVE: updates without any part in the dominant singular directions of the original weight.

Zhang et al. 2026 (ACL 2026), "Spectral Characterization and Mitigation of Sequential Knowledge Editing Collapse",
arXiv 2601.11042, equations 4 to 6. With W_0 = U Σ Vᵀ, σ_1 ≥ σ_2 ≥ …, and full bases,

    c_ij = u_iᵀ Δ v_j,    k = min{ k : Σ_{i≤k} σ_i / Σ_i σ_i ≥ τ },    c'_ij = 0 if i ≤ k or j ≤ k, else c_ij
    Δ' = Σ_ij c'_ij u_i v_jᵀ = (I − U_k U_kᵀ) Δ (I − V_k V_kᵀ)

In factors Δ = R Aᵀ that is R' = R − U_k U_kᵀ R, A' = A − V_k V_kᵀ A. The part of Δ outside the row space of W_0, where
σ is 0, is kept. U_k comes from the d_out × d_out Gram matrix W_0 W_0ᵀ, and V_k = W_0ᵀ U_k Σ_k⁻¹.
"""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

from pydantic import Field
from torch import Tensor

from palimpsest.editors.toolkit.filtering import Filter
from palimpsest.editors.toolkit.updates import full, kept_energy
from palimpsest.harness.editor import EditorConfig, EditReport, LayerUpdate
from palimpsest.harness.model.pristine_statistics import LeftSpectrum
from palimpsest.harness.statistics.spectrum import left_spectrum, right_basis


class Protected(NamedTuple):
    """The dominant singular directions of a weight."""

    left: Tensor
    """U_k: d_out × k."""
    right: Tensor
    """V_k: d_in × k."""


class Revive(Filter):
    """Keeps updates out of the dominant singular subspaces of the original weight (arXiv 2601.11042)."""

    default_host: ClassVar[str] = "alphaedit"

    class Config(EditorConfig):
        """REVIVE's settings."""

        tau: float = Field(default=0.1, gt=0, le=1)
        """τ: share of the spectrum's energy that the protected directions reach; at least one is protected."""
        energy: Literal["sigma", "sigma_squared"] = "sigma"
        """Energy: the singular values, as in the paper, or their squares."""
        basis: Literal["pretrained", "current"] = "pretrained"
        """Directions: those of W_0, as in the paper, or of the weight before each update."""
        after_all_layers: bool = False
        """Compute all layers' updates before any is filtered."""

    config: Config
    protected: dict[int, Protected]
    """Layer → directions of W_0, where that is the basis."""

    def start(self, layer: int) -> None:
        """Keep U_k and V_k of W_0, if that is the basis."""
        if layer == self.layers[0]:
            self.protected = {}
        if self.config.basis == "pretrained":
            spectrum = self.model.resources.weight_spectrum(layer)
            self.protected[layer] = self.directions(self.model.pristine_weight(layer), spectrum)

    def directions(self, weight: Tensor, spectrum: LeftSpectrum) -> Protected:
        """U_k (d_out × k) and V_k (d_in × k) of a weight, d_out × d_in, with this spectrum; float64."""
        sigma = spectrum.values if self.config.energy == "sigma" else spectrum.values.square()
        shares = sigma.cumsum(0)
        k = min(int((shares / shares[-1] < self.config.tau).sum()) + 1, *weight.shape)
        left = spectrum.vectors[:, :k]
        return Protected(left, right_basis(weight, left))

    def filter(self, update: LayerUpdate, weight: Tensor, report: EditReport) -> LayerUpdate:
        """Δ' = (I − U_k U_kᵀ) Δ (I − V_k V_kᵀ), d_out × d_in, as factors where Δ has them."""
        found = self.protected.get(update.layer)
        u, v = found if found is not None else self.directions(weight, left_spectrum(weight))
        if update.delta is None and update.influence is not None and update.activation is not None:
            r, a = update.influence, update.activation  # d_out × n, d_in × n
            safe = LayerUpdate(update.layer, r - u @ (u.T @ r), a - v @ (v.T @ a), update.keys)
        else:
            delta = full(update)
            delta = delta - u @ (u.T @ delta)
            safe = LayerUpdate(update.layer, keys=update.keys, delta=delta - (delta @ v) @ v.T)
        report.values[f"protected_rank.{update.layer}"] = u.shape[1]
        report.values[f"removed_energy.{update.layer}"] = 1 - kept_energy(safe, update)
        return safe
