"""NSE: MEMIT-Seq on the most active neurons, towards targets of the unedited model, in rounds.

Jiang, Fang, Zhang, Zhang, Wang, Liang, Wang 2024 (ACL 2025), "Neuron-Level Sequential Editing for Large Language
Models", arXiv 2410.04045.

1. Weights rewinding: z of every edit comes from the unedited model, however many edits were made before.
2. Rounds: with err_e = ‖z_e − h_e‖ on the present model, only the edits with α < err_e < upper are written, and again
   in the next round, until none is left or the rounds are used up. The published ``max_iterations`` of 3 means two.
3. Neurons: of the active edits' keys at a layer, s = Σ_e |k_e|; I = the smallest set of inputs, by decreasing s, that
   holds the share p of Σ s; and with all matrices cut to I

    A = (λ C0 + C_p + K Kᵀ)⁻¹ K,    Δ = R Aᵀ,    Δ = 0 outside I

After the last round C_p += K' K'ᵀ, K' = keys of all edits of the batch on the edited model. The published code takes
the largest set that holds *at most* the share p, so one neuron fewer (``selection = "reference"``); with p = 1 float32
rounding there can drop the last neuron, while p = 1 here means no selection at all. An edit beyond ``upper`` is never
written; it is counted as skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor

from palimpsest.editors.memit import Memit
from palimpsest.editors.memit_seq import MemitSeq
from palimpsest.editors.toolkit.keys import residual_stream_at
from palimpsest.harness.editor import EditReport

if TYPE_CHECKING:
    from palimpsest.editors.toolkit.targets.search import Targets
    from palimpsest.harness.specs.cases import EditRequest


class Nse(MemitSeq):
    """Neuron-level sequential editing with rewound targets (arXiv 2410.04045)."""

    rewrites = True

    class Config(Memit.Config):
        """NSE's settings."""

        error_threshold: float = Field(gt=0)
        """α: an edit whose ‖z − h‖ is not above this counts as written."""
        error_limit: float = Field(gt=0)
        """upper: an edit whose ‖z − h‖ is not below this is left out."""
        neuron_share: float = Field(default=1.0, gt=0, le=1)
        """p: share of the keys' mass that the selected neurons hold; 1 selects all."""
        selection: Literal["paper", "reference"] = "paper"
        """Smallest set that reaches p, or largest that does not exceed it."""
        rounds: int = Field(default=2, ge=1)
        """Times that a batch is written, at most."""

    config: Config

    def find_targets(self, batch: Sequence[EditRequest]) -> Targets:
        """Z of a batch on the unedited model."""
        present = self.model.read_weights(self.writes())
        try:
            self.model.write_weights({name: self.model.pristine(name) for name in present})
            return super().find_targets(batch)
        finally:
            self.model.write_weights(present)

    def write(self, batch: Sequence[EditRequest], z: Tensor, report: EditReport) -> dict[int, Tensor]:
        """Write the active edits, round by round."""
        keys: dict[int, Tensor] = {}
        for number in range(self.config.rounds):
            error = (z - residual_stream_at(self.model, batch, self.config.layers[-1])).norm(dim=0)
            active = (error > self.config.error_threshold) & (error < self.config.error_limit)
            if number == 0:
                report.counters |= {
                    "skipped": int((error >= self.config.error_limit).sum()),
                    "written_already": int((error <= self.config.error_threshold).sum()),
                }
                report.values["target_error_before"] = float(error.mean())
            if not bool(active.any()):
                break
            chosen = [request for request, wanted in zip(batch, active.tolist(), strict=True) if wanted]
            keys = super().write(chosen, z[:, active], report)
            report.counters["rounds"] = number + 1
            report.counters[f"active.{number + 1}"] = len(chosen)
        return keys

    def solve(self, keys: Tensor, layer: int) -> Tensor:
        """A on the selected neurons, zero elsewhere: d_in × n."""
        if self.config.neuron_share == 1:
            return super().solve(keys, layer)
        return self.solve_on(self.selected(keys), keys, layer)

    def solve_on(self, neurons: Tensor, keys: Tensor, layer: int) -> Tensor:
        """A = (λ C0 + C_p + K Kᵀ)⁻¹ K with everything cut to ``neurons`` (indices of inputs), zero elsewhere."""
        a = torch.zeros_like(keys, dtype=torch.float64)
        a[neurons] = self.systems[layer].solve_on(neurons, keys)
        return a

    def selected(self, keys: Tensor) -> Tensor:
        """I: indices of the inputs with the largest Σ_e |k_e|, by decreasing mass; keys are d_in × n."""
        mass, order = keys.double().abs().sum(dim=1).sort(descending=True, stable=True)
        share = mass.cumsum(0) / mass.sum()
        if self.config.selection == "reference":
            return order[: max(1, int((share <= self.config.neuron_share).sum()))]
        return order[: int((share < self.config.neuron_share).sum()) + 1]
