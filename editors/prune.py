"""PRUNE: the large singular values of all that editing has added, compressed before the model is used.

Ma, Wang, Xu, Ling, Gu 2024 (ICLR 2025), "Perturbation-Restrained Sequential Model Editing", arXiv 2405.16821.

    D = W_t − W_0 = Û Σ̂ V̂ᵀ,    σ_max = largest singular value of W_0
    F(σ̂) = σ̂ if σ̂ < σ_max,  else log_α(σ̂) − log_α(σ_max) + σ_max        (or  ½ σ̂ + ½ σ_max, "linear")
    W_eval = W_0 + Û F(Σ̂) V̂ᵀ

F compresses where σ̂ > 1 / ln α. The formula is not free of scale: above a smaller σ_max it raises the singular values
between σ_max and where it crosses σ̂ again, and the reported share of removed energy may be negative.

Only triplets above σ_max change, so with those alone, Û_b Σ̂_b V̂_b, and V̂_b = Dᵀ Û_b Σ̂_b⁻¹,

    W_eval = W_t + Û_b (F(Σ̂_b) Σ̂_b⁻¹ − I) Û_bᵀ D

Û and Σ̂ come from the d_out × d_out Gram matrix D Dᵀ. The host's run is left as it is: restrained weights take the
place of W_t only while the model is scored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from pydantic import field_validator
from torch import Tensor

from palimpsest.editors.toolkit.filtering import Filter
from palimpsest.editors.toolkit.pipeline import timed
from palimpsest.harness.editor import EditorConfig, EditReport, LayerUpdate
from palimpsest.harness.errors import ModelCollapsed
from palimpsest.harness.statistics.spectrum import left_spectrum, singular_values

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.cases import EditRequest


@dataclass(frozen=True, slots=True)
class Restraint:
    """The part of PRUNE that belongs to one layer."""

    clipped: int
    """Number of singular values of D above σ_max."""
    removed_energy: float
    """1 − ‖F(D)‖² / ‖D‖²."""
    correction: Tensor | None
    """W_eval − W_t, d_out × d_in, float64; None if nothing is clipped, or only counted."""


class Prune(Filter):
    """Compresses those singular values of the accumulated update that exceed the weight's own (arXiv 2405.16821)."""

    default_host: ClassVar[str] = "memit"

    class Config(EditorConfig):
        """PRUNE's settings."""

        alpha: float | Literal["e", "linear"] = "e"
        """α: base of the logarithm, above 1 (2, 1.5 and 1.2 are published too), ``e``, or ``linear`` for the mean of
        σ̂ and σ_max in its place."""
        per_step: bool = False
        """Keep the restrained weights after every batch, so that D holds what was restrained before."""

        @field_validator("alpha", mode="plain")
        @classmethod
        def _base(cls, value: object) -> float | str:
            if value in ("e", "linear") and isinstance(value, str):
                return value
            if isinstance(value, int | float) and not isinstance(value, bool) and 1 < value < math.inf:
                return float(value)
            raise ValueError(f'expected a number above 1, "e" or "linear", got {value!r}')

    config: Config

    def prepare(self, model: EditableModel) -> None:
        """Prepare the host, and find σ_max of its layers."""
        super().prepare(model)
        self.largest = {layer: float(model.resources.weight_spectrum(layer).values[0]) for layer in self.layers}
        if self.config.per_step:
            self.pipeline = None  # what a filter around this one must see is the batch as restrained

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        """Let the host write the batch, and count what would be restrained; with ``per_step``, restrain it."""
        if not self.config.per_step:
            report = super().edit(batch)
            self._restrained(report, count_only=True)
            return report
        with self.undone_on_failure():
            report = super().edit(batch)
            for layer, correction in self._restrained(report).items():
                self.model.add_update(layer, correction)
                if self.record_updates:
                    report.updates.append(LayerUpdate(layer, delta=correction))
        return report

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        """The model with restrained weights; afterwards W_t again, to the bit."""
        with self.host.evaluated():
            corrections = self._restrained(EditReport())
            weights = self.model.read_weights(self.model.anatomy.weight_name(layer) for layer in corrections)
            try:
                for layer, correction in corrections.items():
                    self.model.add_update(layer, correction)
                yield
            finally:
                self.model.write_weights(weights)

    def restraint(self, update: Tensor, largest: float, *, count_only: bool = False) -> Restraint:
        """Restrain D = ``update`` (d_out × d_in) where σ_max is ``largest``; without vectors to ``count_only``.

        Raises:
            ModelCollapsed: D is not finite.
        """
        d = update.double()
        size = float(d.norm())
        if not math.isfinite(size):
            raise ModelCollapsed("The sum of all updates is not finite: the model has collapsed.")
        if size <= largest:  # no singular value exceeds the Frobenius norm
            return Restraint(0, 0.0, None)
        spectrum = None if count_only else left_spectrum(d)
        values = singular_values(d) if spectrum is None else spectrum.values
        clipped = values > largest
        if not bool(clipped.any()):
            return Restraint(0, 0.0, None)
        sigma = values[clipped]
        compressed = self.compressed(sigma, largest)
        removed = float((sigma.square() - compressed.square()).sum()) / size**2
        correction = None
        if spectrum is not None:
            u = spectrum.vectors[:, clipped]
            correction = (u * (compressed / sigma - 1)) @ (u.T @ d)
        return Restraint(len(sigma), removed, correction)

    def compressed(self, sigma: Tensor, largest: float) -> Tensor:
        """F(σ̂)."""
        if self.config.alpha == "linear":
            above = (sigma + largest) / 2
        else:
            unit = 1.0 if self.config.alpha == "e" else math.log(self.config.alpha)
            above = torch.log(sigma / largest) / unit + largest
        return torch.where(sigma < largest, sigma, above)

    def _restrained(self, report: EditReport, *, count_only: bool = False) -> dict[int, Tensor]:
        """Corrections of the layers in which singular values are clipped, none to ``count_only``; the report counts."""
        corrections = {}
        with timed(report, "spectrum"):
            for layer in self.layers:
                update = self.model.weight(layer).double() - self.model.pristine_weight(layer).double()
                found = self.restraint(update, self.largest[layer], count_only=count_only)
                report.values[f"clipped_singular_values.{layer}"] = found.clipped
                report.values[f"removed_energy.{layer}"] = found.removed_energy
                if found.correction is not None:
                    corrections[layer] = found.correction
        return corrections
