"""RECT: of every update only the entries that change the weight most, relative to what it was.

Gu, Xu, Ma, Lu, Ling, Chang, Peng 2024 (EMNLP 2024), "Model Editing Harms General Abilities of Large Language Models:
Regularization to the Rescue", arXiv 2401.04700.

    S_ij = |Δ_ij| / (|W_ij| + ε),    Δ'_ij = Δ_ij where S_ij is among the top share q of the matrix, else 0

W is the weight before the update. The threshold is the ⌊(1 − q)·numel⌋-th smallest S, and entries that reach it stay.
By default masks wait until all layers of a batch have their unmasked updates, as in the published comparisons.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from palimpsest.editors.toolkit.filtering import Filter
from palimpsest.editors.toolkit.updates import full, kept_energy
from palimpsest.harness.editor import EditorConfig, EditReport, LayerUpdate


class Rect(Filter):
    """Keeps the entries of each update with the largest relative change of the weight (arXiv 2401.04700)."""

    default_host: ClassVar[str] = "memit"

    class Config(EditorConfig):
        """RECT's settings."""

        kept_share: float = Field(default=0.4, gt=0, le=1)
        """q: share of the entries that are kept; the authors' code has 0.2, published comparisons 0.4."""
        epsilon: float = Field(default=1e-8, ge=0)
        """ε: added to the weight in the denominator; the authors' code has 0."""
        signed_denominator: bool = False
        """Divide by |W + ε|, as in a published implementation, in place of |W| + ε."""
        after_all_layers: bool = True
        """Compute all layers' updates before any is masked, so that later layers make up for nothing."""

    config: Config

    def filter(self, update: LayerUpdate, weight: Tensor, report: EditReport) -> LayerUpdate:
        """Δ' = Δ ∘ [S ≥ threshold]."""
        delta = full(update)  # d_out × d_in
        kept = self.kept(delta, weight.double())
        masked = LayerUpdate(update.layer, keys=update.keys, delta=torch.where(kept, delta, 0.0))
        report.values[f"kept_share.{update.layer}"] = float(kept.double().mean())
        report.values[f"kept_energy.{update.layer}"] = kept_energy(masked, update)
        return masked

    def kept(self, delta: Tensor, weight: Tensor) -> Tensor:
        """True where an entry stays: S ≥ its ⌊(1 − q)·numel⌋-th smallest value; d_out × d_in."""
        denominator = (
            (weight + self.config.epsilon).abs()
            if self.config.signed_denominator
            else weight.abs() + self.config.epsilon
        )
        change = torch.where(delta == 0, 0.0, delta.abs() / denominator)  # S, also where 0 / 0
        place = math.floor(round((1 - self.config.kept_share) * change.numel(), 6))
        if place < 1:
            return torch.ones_like(change, dtype=torch.bool)
        return change >= change.flatten().kthvalue(place).values
