"""SPHERE: updates damped along the principal directions of the weight's normalised rows, so that neurons stay spread.

Liu, Gu, Yao, Wang, Peng 2025 (ICLR 2026), "Energy-Regularized Sequential Model Editing on Hyperspheres",
arXiv 2510.01172.

With the rows of W scaled to norm 1, Ŵ (d_out × d_in), and the eigenvalues μ_1 ≥ μ_2 ≥ … of Ŵᵀ Ŵ / d_out,

    r = #{ j : Σ_{i≤j} μ_i / Σ μ_i ≤ η } + 1,    U = the first r eigenvectors (d_in × r)
    Δ' = Δ (I − α U Uᵀ)

In factors Δ = R Aᵀ that is A' = A − α U Uᵀ A. U is found through the d_out × d_out Gram matrix Ŵ Ŵᵀ.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from palimpsest.editors.alphaedit import AlphaEdit
from palimpsest.editors.toolkit.filtering import Filter
from palimpsest.editors.toolkit.updates import full, kept_energy
from palimpsest.harness.editor import EditorConfig, EditReport, LayerUpdate
from palimpsest.harness.statistics.spectrum import left_spectrum, right_basis

_SMALLEST_NORM = 1e-8


class Sphere(Filter):
    """Damps updates along the principal directions of the normalised rows (arXiv 2510.01172)."""

    default_host: ClassVar[str] = "alphaedit"

    class Config(EditorConfig):
        """SPHERE's settings."""

        eta: float = Field(default=0.5, ge=0, le=1)
        """η: share of the rows' energy up to which directions count as principal; 0 switches the filter off."""
        alpha: float | None = Field(default=None, ge=0, le=1)
        """α: how much of the update along them is removed, 1 for all; null: 0.5 on AlphaEdit, 0.8 on other hosts."""
        basis: Literal["current", "pretrained"] = "current"
        """Weight with the directions: the one before each update, as in the code, or the pretrained one."""
        after_all_layers: bool = False
        """Compute all layers' updates before any is projected."""

    config: Config
    pretrained: dict[int, Tensor]
    """Layer → U of the pretrained weight, where that is the basis."""

    @property
    def alpha(self) -> float:
        """The suppression strength, the host's default where none is set."""
        if self.config.alpha is not None:
            return self.config.alpha
        return 0.5 if isinstance(self.bottom, AlphaEdit) else 0.8

    def start(self, layer: int) -> None:
        """Keep U of the pretrained weight, if that is the basis."""
        if layer == self.layers[0]:
            self.pretrained = {}
        if self.config.basis == "pretrained" and self.config.eta > 0:
            self.pretrained[layer] = principal_directions(self.model.pristine_weight(layer), self.config.eta)

    def filter(self, update: LayerUpdate, weight: Tensor, report: EditReport) -> LayerUpdate:
        """Δ' = Δ − α Δ U Uᵀ."""
        if self.config.eta == 0:
            return update
        u = self.pretrained.get(update.layer)
        if u is None:
            u = principal_directions(weight, self.config.eta)  # d_in × r
        if update.delta is None and update.activation is not None:
            a = update.activation  # d_in × n
            damped = LayerUpdate(update.layer, update.influence, a - self.alpha * (u @ (u.T @ a)), update.keys)
        else:
            delta = full(update)  # d_out × d_in
            damped = LayerUpdate(update.layer, keys=update.keys, delta=delta - self.alpha * ((delta @ u) @ u.T))
        report.values[f"principal_rank.{update.layer}"] = u.shape[1]
        report.values[f"kept_energy.{update.layer}"] = kept_energy(damped, update)
        return damped


def principal_directions(weight: Tensor, eta: float) -> Tensor:
    """U: the leading eigenvectors of Ŵᵀ Ŵ, up to the first by which their share of the energy exceeds η; d_in × r."""
    rows = weight.double()
    unit = rows / (rows.norm(dim=1, keepdim=True) + _SMALLEST_NORM)
    spectrum = left_spectrum(unit)
    shares = spectrum.values.square().cumsum(0)
    rank = min(int((shares / shares[-1] <= eta).sum()) + 1, *weight.shape)
    return right_basis(unit, spectrum.vectors[:, :rank])
