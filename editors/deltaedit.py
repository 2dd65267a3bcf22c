"""DeltaEdit: AlphaEdit whose influence vectors leave the space of earlier updates when these disturb a new key much.

Cao, Cai et al. 2025 (AAAI 2026), "On the Superimposed Noise Accumulation Problem in Sequential Knowledge Editing of
Large Language Models", arXiv 2505.07899.

With H = W_t − W_0 at the last edited layer and k_e the key of the new edit's clean prompt there, ν = ‖H k_e‖. The edit
is constrained if more than 20 edits were seen, v > 0 and

    ν > m + η √v

and otherwise m ← 0.9 m + 0.1 ν, v ← 0.9 v + 0.1 (ν − m)² with the new m, once per edit. Constrained means that δ of
the target optimisation stays orthogonal to U: after each step δ ← (I − U Uᵀ) δ, with U the leading eigenvectors of
M Mᵀ, M = [H k_e | H], whose eigenvalue exceeds 0.1, at most a share of d_out of them. Target and update are AlphaEdit's
otherwise, except that C_p takes the keys that the batch was solved with, and that a target is also finished once its
probability exceeds 0.98.

The published code differs in three ways. It tests |ν − m| > η √v (``trigger = "reference"``), so that an unusually
*small* disturbance constrains too. It finds U by a randomised SVD of rank d_out/4, which is exact only while M has no
larger rank; ours is exact. And its limit on the removed directions is 1/4 of d_out, where the paper has 3/4: that is
``max_removed_share``, 0.25 by default as in the code. Batches of one are the paper's. In larger ones each request is
tested against the H before the batch, and those constrained share one U, with all their keys in M.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor

from palimpsest.editors.alphaedit import AlphaEdit
from palimpsest.editors.toolkit.keys import keys_at
from palimpsest.editors.toolkit.targets.search import Confinement, compute_targets
from palimpsest.harness.editor import EditReport
from palimpsest.harness.errors import ModelCollapsed

if TYPE_CHECKING:
    from palimpsest.editors.toolkit.targets.search import Targets, TargetSettings
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.cases import EditRequest

_MEMORY = 0.9
_WARM_UP = 20
_EIGENVALUE_FLOOR = 0.1
_CLEAN = (("{}",),)
_STATISTICS = "disturbance"


class DeltaEdit(AlphaEdit):
    """AlphaEdit with influence vectors kept out of earlier updates when noise piles up (arXiv 2505.07899)."""

    filters_inside = True

    class Config(AlphaEdit.Config):
        """DeltaEdit's settings."""

        deviations: float = Field(default=3.0, gt=0)
        """η: standard deviations above its mean that a disturbance must be to constrain an edit."""
        trigger: Literal["paper", "reference"] = "paper"
        """Only disturbances above the mean, or also those below it."""
        max_removed_share: float = Field(default=0.25, gt=0, le=1)
        """U has at most this share of d_out columns."""
        early_stop_probability: float = Field(default=0.98, gt=0)
        """A target whose probability is above this is finished; above 1: never."""

        def targets(self) -> TargetSettings:
            """The settings of the target optimisation, with the stop by probability."""
            return replace(super().targets(), early_stop_probability=self.early_stop_probability)

    config: Config

    def prepare(self, model: EditableModel) -> None:
        """Prepare as AlphaEdit does; nothing has been disturbed yet."""
        super().prepare(model)
        self.mean, self.variance, self.seen = 0.0, 0.0, 0  # a mean of 0 is none: disturbances are above 0
        self._constrained, self._removed_columns = 0, 0

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        """Write a batch; if it fails, the statistics of disturbances are as before, too."""
        statistics = self.mean, self.variance, self.seen
        try:
            return super().edit(batch)
        except BaseException:
            self.mean, self.variance, self.seen = statistics
            raise

    def find_targets(self, batch: Sequence[EditRequest]) -> Targets:
        """Z of a batch, d_out × n, with δ of constrained requests orthogonal to U.

        Raises:
            ModelCollapsed: Disturbances of new keys by earlier updates are not finite.
        """
        last = self.config.layers[-1]
        keys = keys_at(self.model, batch, _CLEAN, last).double()  # d_in × n
        update = self.model.weight(last).double() - self.model.pristine_weight(last).double()  # H: d_out × d_in
        disturbances = update @ keys  # d_out × n
        if not bool(torch.isfinite(disturbances).all()):
            raise ModelCollapsed("What earlier updates do to new keys is not finite: the model has collapsed.")
        rows = torch.tensor([self.constrains(float(norm)) for norm in disturbances.norm(dim=0)], device=keys.device)
        self._constrained, self._removed_columns, confinement = int(rows.sum()), 0, None
        if bool(rows.any()):
            directions = self.directions(update, disturbances[:, rows])
            self._removed_columns = directions.shape[1]
            confinement = Confinement(directions.float(), rows)
        return compute_targets(
            self.model,
            batch,
            self.templates,
            last,
            self.config.targets(),
            whole=self.whole,
            confinement=confinement,
            tail=self.tail_of_targets,
        )

    def constrains(self, disturbance: float) -> bool:
        """True if ν constrains the edit; if not, it enters mean and variance, unless there is no earlier update."""
        self.seen += 1
        if disturbance == 0:
            return False
        if self.mean == 0:
            self.mean = disturbance
        away = disturbance - self.mean
        if self.config.trigger == "reference":
            away = abs(away)
        if self.seen > _WARM_UP and self.variance > 0 and away > self.config.deviations * self.variance**0.5:
            return True
        self.mean = _MEMORY * self.mean + (1 - _MEMORY) * disturbance
        self.variance = _MEMORY * self.variance + (1 - _MEMORY) * (disturbance - self.mean) ** 2
        return False

    def directions(self, update: Tensor, disturbances: Tensor) -> Tensor:
        """U: d_out × c, from H (d_out × d_in) and H k of the constrained edits (d_out × n)."""
        values, vectors = torch.linalg.eigh(update @ update.T + disturbances @ disturbances.T)
        most = int(self.config.max_removed_share * len(values))
        columns = min(most, int((values > _EIGENVALUE_FLOOR).sum()))
        leading: Tensor = vectors[:, len(values) - columns :]
        return leading

    def keys_to_remember(self, batch: Sequence[EditRequest], solved: Mapping[int, Tensor]) -> Mapping[int, Tensor]:
        """The keys before the update."""
        return solved

    def describe(self, report: EditReport) -> None:
        """Add the number of constrained requests, and the statistics of disturbances."""
        super().describe(report)
        report.counters |= {"constrained": self._constrained, "removed_directions": self._removed_columns}
        if self.mean > 0:
            report.values |= {"disturbance_mean": self.mean, "disturbance_variance": self.variance}

    def state_dict(self) -> dict[str, Tensor]:
        """C_p, and mean, variance and number of disturbances."""
        statistics = torch.tensor([self.mean, self.variance, self.seen], dtype=torch.float64)
        return {**super().state_dict(), _STATISTICS: statistics}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state_dict`.

        Raises:
            ValueError: The state belongs to another editor or model.
        """
        statistics = state.get(_STATISTICS)
        if statistics is None or statistics.shape != (3,):
            raise ValueError(f"The state has no {_STATISTICS} of three numbers.")
        super().load_state_dict({name: tensor for name, tensor in state.items() if name != _STATISTICS})
        self.mean, self.variance, self.seen = float(statistics[0]), float(statistics[1]), int(statistics[2])
