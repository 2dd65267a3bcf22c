"""ROME: one fact as a rank-one update of one layer.

Meng, Bau, Andonian, Belinkov 2022 (NeurIPS 2022), "Locating and Editing Factual Associations in GPT", arXiv 2202.05262.

With k the key of the clean prompt, k̄ the mean key over context templates, C0 the second moment of pretraining keys, and
v* the optimised output of the MLP at the subject's last token,

    u = C0⁻¹ k̄ / ‖C0⁻¹ k̄‖,    Δ = (v* − W k) uᵀ / (kᵀ u)

so that (W + Δ) k = v*. A batch is written one request after another, each with the model as the one before left it.

v* is found like MEMIT's z, with δ added to the output of the MLP. Where that output enters the residual stream as a
summand, δ is added to the stream, otherwise to the output, see `tails`; its size and decay are measured against the
MLP's output v_0, and v* − W k = δ.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import Tensor

from palimpsest.editors.toolkit.keys import keys_at, outputs_at
from palimpsest.editors.toolkit.linalg import cholesky
from palimpsest.editors.toolkit.packing.upper import settle
from palimpsest.editors.toolkit.pipeline import TargetConfig, all_or_nothing, timed
from palimpsest.editors.toolkit.tails import measured_tail
from palimpsest.editors.toolkit.targets.search import compute_targets
from palimpsest.editors.toolkit.targets.splitting import suffixes_hold
from palimpsest.harness.editor import Editor, EditReport, LayerUpdate
from palimpsest.harness.errors import ConfigError, ModelCollapsed

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.cases import EditRequest

_CLEAN = (("{}",),)


class Rome(Editor):
    """Rank-one model editing (arXiv 2202.05262)."""

    class Config(TargetConfig):
        """ROME's settings."""

        layer: int = Field(ge=0)
        """Block whose down-projection is written."""
        clamp_norm_factor: float = Field(default=4.0, gt=0)
        """‖δ‖ is held below this multiple of ‖v_0‖."""
        second_moment_adjustment: bool = True
        """Take u as C0⁻¹ k̄; if not, as k̄ itself."""
        template_lengths: tuple[int, ...] = Field(default=(5, 10), min_length=1)
        """Tokens of the sampled context templates."""
        templates_per_length: int = Field(default=10, ge=1)
        """Templates sampled of each length; the clean prompt comes on top."""

    config: Config

    def prepare(self, model: EditableModel) -> None:
        """Sample templates and factor C0, on the pristine model.

        Raises:
            ConfigError: The model has no such block.
            MissingResource: There is no text for C0.
            EditorError: C0 is not positive definite.
        """
        layer, anatomy = self.config.layer, model.anatomy
        if layer >= anatomy.n_layers:
            raise ConfigError(f"layer: {model.name} has blocks 0 to {anatomy.n_layers - 1}, got {layer}.")
        settle(model)
        self.model = model
        self.templates = [["{}"]]
        for length in self.config.template_lengths:
            sampled = model.resources.context_templates(
                self.config.templates_seed, self.config.templates_per_length, length
            )
            self.templates[0] += [template for group in sampled for template in group if template != "{}"]
        self.whole = not suffixes_hold(model, layer)
        tail = measured_tail(model, layer)
        self.tail = None if tail.plain else tail
        self.factor: Tensor | None = None
        if self.config.second_moment_adjustment:
            moments = model.resources.second_moments([layer], self.config.statistics_tokens)
            self.factor = cholesky(moments[layer].double())

    def writes(self) -> Collection[str]:
        """The one down-projection."""
        return [self.model.anatomy.weight_name(self.config.layer)]

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        """Write the requests one after another.

        Raises:
            EditorError: A request cannot be prepared, or something is not finite; the model is as before then.
        """
        report = EditReport()
        with all_or_nothing(self.model, self.writes()):
            for request in batch:
                self._insert(request, report)
        for name in report.values:
            report.values[name] /= len(batch)
        return report

    def residual(self, delta: Tensor, key: Tensor, mean_key: Tensor) -> tuple[Tensor, Tensor]:
        """The vector that the update must add to the output, d_out, and the key that it is added at, d_in."""
        return delta, key

    def direction(self, mean_key: Tensor) -> Tensor:
        """The unit vector along C0⁻¹ k̄ (of k̄ without the adjustment); d_in, float64."""
        u = mean_key if self.factor is None else torch.cholesky_solve(mean_key[:, None], self.factor)[:, 0]
        unit: Tensor = u / u.norm()
        return unit

    def _insert(self, request: EditRequest, report: EditReport) -> None:
        layer = self.config.layer
        with timed(report, "keys"):
            key = keys_at(self.model, [request], _CLEAN, layer)[:, 0].double()
            mean_key = keys_at(self.model, [request], self.templates, layer)[:, 0].double()
            start = outputs_at(self.model, [request], layer)  # v_0, d_out × 1
        with timed(report, "targets"):
            settings = self.config.targets()
            found = compute_targets(
                self.model, [request], self.templates, layer, settings, whole=self.whole, start=start, tail=self.tail
            )
        with timed(report, "solve"):
            home = self.model.resources.device
            u = self.direction(mean_key.to(home)).to(key.device)
            wanted, at = self.residual((found.z - found.start)[:, 0].double(), key, mean_key)
            right = wanted / (at @ u)  # d_out
            if not bool(torch.isfinite(right).all() and torch.isfinite(u).all()):
                raise ModelCollapsed(f"The update of layer {layer} is not finite: the model has collapsed.")
        with timed(report, "apply"):
            self.model.add_update(layer, torch.outer(right, u))
        if self.record_updates:
            report.updates.append(LayerUpdate(layer, right[:, None], u[:, None], at[:, None]))
        report.counters["early_stopped"] = report.counters.get("early_stopped", 0) + found.early_stopped(settings)
        report.counters["clamped"] = report.counters.get("clamped", 0) + int(found.clamped.sum())
        for name, value in {
            "loss_first": float(found.loss_first[0, 0]),
            "loss_last": float(found.loss_last[0, 0]),
            "target_passes": float(found.passes[0]),
            "target_norm": float((found.z - found.start).norm()),
            f"update_norm.{layer}": float(right.norm()),  # u has unit length
        }.items():
            report.values[name] = report.values.get(name, 0.0) + value
