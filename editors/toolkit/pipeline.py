"""The pipeline that MEMIT and its descendants share; an editor of the family says only what is its own.

    Z  = targets of the batch at the output of block L*                              (`targets.search`)
    for the i-th of the edited layers, in ascending order:
        K  = keys at the layer, H = output of block L*, both with the model in its present state   (`keys`)
        R  = (Z − H) / (number of layers still to edit)
        Δ  = R Aᵀ,  A = solve(K)                                                     (the editor's own)
        W += Δ                                                                       (filters may change Δ: `filtering`)
    remember(K'), K' = keys on the edited model                                      (the editor's own)

Meng, Sen Sharma, Andonian, Belinkov, Bau 2022, "Mass-Editing Memory in a Transformer", arXiv 2210.07229.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field, field_validator
from torch import Tensor

from palimpsest.editors.toolkit.keys import Ascent, Keys, clean, residual_stream_at
from palimpsest.editors.toolkit.linalg import System
from palimpsest.editors.toolkit.packing.upper import settle
from palimpsest.editors.toolkit.tails import Tail, measured_tail
from palimpsest.editors.toolkit.targets.search import Targets, TargetSettings, compute_targets
from palimpsest.editors.toolkit.targets.splitting import suffixes_hold
from palimpsest.editors.toolkit.updates import UpdateFilter, Writer
from palimpsest.harness.editor import Editor, EditorConfig, EditReport, LayerUpdate
from palimpsest.harness.errors import ConfigError, ModelCollapsed

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.cases import EditRequest


class TargetConfig(EditorConfig):
    """Fields that say how target vectors are found, common to all editors that have them."""

    target_steps: int = Field(default=25, ge=1)
    """Forward passes of the target optimisation; one step of Adam less."""
    target_learning_rate: float = Field(gt=0)
    """Learning rate of the target optimisation."""
    target_weight_decay: float = Field(default=0.5, ge=0)
    """Weight of ‖δ‖ / ‖h_0‖² in the target's loss."""
    clamp_norm_factor: float = Field(default=0.75, gt=0)
    """‖δ‖ is held below this multiple of ‖h_0‖."""
    kl_factor: float = Field(default=0.0625, ge=0)
    """Weight of the KL divergence at the subject of "{subject} is a"."""
    early_stop_loss: float = Field(default=0.05, ge=0)
    """A target whose loss is below this is finished."""
    statistics_tokens: int = Field(default=100_000, ge=1)
    """Tokens of the statistics text that key second moments are averaged over, at most."""
    templates_seed: int = Field(default=0, ge=0)
    """Seed of the sampled context templates."""

    def targets(self) -> TargetSettings:
        """The settings of the target optimisation."""
        return TargetSettings(
            steps=self.target_steps,
            learning_rate=self.target_learning_rate,
            weight_decay=self.target_weight_decay,
            clamp_norm_factor=self.clamp_norm_factor,
            kl_factor=self.kl_factor,
            early_stop_loss=self.early_stop_loss,
        )


class LocateThenEditConfig(TargetConfig):
    """Fields that all editors of the family have in common."""

    layers: tuple[int, ...] = Field(min_length=1)
    """Blocks whose down-projection is written, ascending; targets are set at the output of the last."""

    @field_validator("layers")
    @classmethod
    def _ascending(cls, layers: tuple[int, ...]) -> tuple[int, ...]:
        if list(layers) != sorted(set(layers)) or layers[0] < 0:
            raise ValueError(f"layers must be ascending, distinct and not negative, got {list(layers)}")
        return layers


class LocateThenEdit(Editor):
    """Base of the family. Subclasses give `start` and `solve`, and override `remember` if they keep keys.

    `start(layer)`: in `prepare`, once per edited layer, ascending, on the pristine model, before any state is loaded.
    `solve(keys, layer)`: in each batch, once per layer, ascending, when the layers below are written (again in each
    round where a subclass writes in rounds); never for an empty batch. If it raises, the batch is undone.
    `remember(keys, layer)`: once per layer, after all layers of the batch are written, with its keys on the model as
    it is then; only if `remembers` is set, and not for a batch that failed.
    """

    Config = LocateThenEditConfig
    config: LocateThenEditConfig
    remembers: bool = False
    """True if `remember` wants the keys on the edited model; they are not computed otherwise."""
    rewrites: ClassVar[bool] = False
    """To be set in a subclass with a `write` of its own that goes over the layers, or parts of a batch, repeatedly."""
    filters_inside: ClassVar[bool] = False
    """To be set in a subclass with an `edit` of its own that writes through `write`; its filters see only what a
    whole batch changed otherwise."""
    filters: list[UpdateFilter]
    """Filters that change updates before they are written, from the innermost out; empty once prepared."""

    def prepare(self, model: EditableModel) -> None:
        """Load templates and statistics of the pristine model and build the systems."""
        anatomy = model.anatomy
        if self.config.layers[-1] >= anatomy.n_layers:
            raise ConfigError(
                f"layers: {model.name} has blocks 0 to {anatomy.n_layers - 1}, got {list(self.config.layers)}."
            )
        settle(model)
        self.model = model
        self._home = model.resources.device  # of statistics and systems; the CPU when these are offloaded
        self.filters = []
        self.templates = model.resources.context_templates(self.config.templates_seed)
        self.whole = not suffixes_hold(model, self.config.layers[-1])
        self.tails = {layer: measured_tail(model, layer) for layer in self.config.layers}
        self.systems: dict[int, System] = {layer: self.start(layer) for layer in self.config.layers}

    @abstractmethod
    def start(self, layer: int) -> System:
        """The system of one layer before the first edit; called by `prepare`."""

    @abstractmethod
    def solve(self, keys: Tensor, layer: int) -> Tensor:
        """A of Δ = R Aᵀ: d_in × n, float64, for keys of the same shape."""

    def remember(self, keys: Tensor, layer: int) -> None:
        """Take note of the batch's keys on the edited model, once all layers are written."""

    def describe(self, report: EditReport) -> None:
        """Add what is the editor's own to a batch's report."""

    def writes(self) -> Collection[str]:
        """The down-projection weights of the edited layers."""
        return [self.model.anatomy.weight_name(layer) for layer in self.config.layers]

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        """Write a batch; see the module's description.

        Raises:
            EditorError: A request cannot be prepared, or something is not finite; the model is as before then.
        """
        report = EditReport()
        if not batch:
            return report
        folds = self._refactorisations()
        with all_or_nothing(self.model, self.writes()):
            with timed(report, "targets"):
                targets = self.find_targets(batch)
            solved = self.write(batch, targets.z, report)
            with timed(report, "keys"):
                written = residual_stream_at(self.model, batch, self.config.layers[-1])  # d_out × n
                final = self.keys_to_remember(batch, solved)
        with timed(report, "solve"):
            for layer, keys in final.items():
                self.remember(keys.to(self._home), layer)
        _describe(report, targets, self.config.targets())
        report.values["target_error_after"] = float((targets.z - written).norm(dim=0).mean())
        report.counters["refactorisations"] = self._refactorisations() - folds
        self.describe(report)
        return report

    def state_dict(self) -> dict[str, Tensor]:
        """All that each layer's system remembers."""
        return {f"{layer}.{name}": t for layer, s in self.systems.items() for name, t in s.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state_dict`.

        Raises:
            ValueError: The state belongs to other layers or sizes.
        """
        unknown = sorted(name for name in state if name.partition(".")[0] not in map(str, self.systems))
        if unknown or (state and not self.remembers):
            raise ValueError(
                f"{type(self).__name__} on layers {list(self.config.layers)} has no state {sorted(state)}."
            )
        for layer, system in self.systems.items():
            start = f"{layer}."
            mine = {n.removeprefix(start): t.to(self._home) for n, t in state.items() if n.startswith(start)}
            system.load_state_dict(mine)

    def find_targets(self, batch: Sequence[EditRequest]) -> Targets:
        """Z of a batch, with the model as it is now."""
        return compute_targets(
            self.model,
            batch,
            self.templates,
            self.config.layers[-1],
            self.config.targets(),
            whole=self.whole,
            tail=self.tail_of_targets,
        )

    @property
    def tail_of_targets(self) -> Tail | None:
        """The tail that δ goes through when it is added to the MLP's output; None: it is added to the stream."""
        last = self.tails[self.config.layers[-1]]
        return last if last.normed else None

    def write(self, batch: Sequence[EditRequest], z: Tensor, report: EditReport) -> dict[int, Tensor]:
        """Write every layer once, so that the stream of these requests moves to ``z`` (d_out × n); keys by layer."""
        writer = Writer(self.model, self.filters, report)
        with timed(report, "keys"):
            sought, present = Keys(self.model, batch, self.templates), clean(self.model, batch)
        keys = {}
        for number, layer in enumerate(self.config.layers):
            left = len(self.config.layers) - number
            keys[layer] = self._write_layer(sought, present, z, layer, left, report, writer)
        with timed(report, "apply"):
            writer.finish()
        if self.record_updates:
            report.updates += writer.written
        return keys

    def keys_to_remember(self, batch: Sequence[EditRequest], solved: Mapping[int, Tensor]) -> Mapping[int, Tensor]:
        """Keys by layer for `remember`: those on the edited model, if any are wanted.

        A key depends on the blocks below its layer and on nothing that is written later, so those that a batch was
        solved with are also those on the edited model, to the bit, unless layers were written again.

        Args:
            batch: All requests of the batch.
            solved: The keys that it was solved with, from the last time that each layer was written.
        """
        if not self.remembers:
            return {}
        final = solved
        if self.rewrites or any(filter.after_all_layers for filter in self.filters):
            sought = Keys(self.model, batch, self.templates)
            final = {layer: sought.at(layer, settled=layer) for layer in self.config.layers}
        if not all(bool(torch.isfinite(keys).all()) for keys in final.values()):
            raise ModelCollapsed("Keys on the edited model are not finite: the model has collapsed.")
        return final

    def _write_layer(
        self,
        sought: Keys,
        present: Ascent,
        z: Tensor,
        layer: int,
        layers_left: int,
        report: EditReport,
        writer: Writer,
    ) -> Tensor:
        with timed(report, "keys"):  # blocks below this layer are written for good, and not run again
            keys = sought.at(layer, settled=layer)  # d_in × n
            stream = present.stream(self.config.layers[-1], settled=layer)  # n × d_out
        residual = (z - stream.T).double() / layers_left  # d_out × n
        change = self._change_of_output(present, residual, layer, report)  # d_out × n
        with timed(report, "solve"):
            a = self.solve(keys.to(self._home), layer).to(keys.device)  # d_in × n
        with timed(report, "apply"):
            writer.write(LayerUpdate(layer, influence=change, activation=a, keys=keys))  # Δ = R Aᵀ
        distance = float(residual.norm(dim=0).mean()) * layers_left
        report.values[f"residual_norm.{layer}"] = distance
        report.values.setdefault("target_error_before", distance)
        return keys

    def _change_of_output(self, present: Ascent, residual: Tensor, layer: int, report: EditReport) -> Tensor:
        """Change of the layer's output for the stream to move by ``residual``; both d_out × n, float64."""
        tail = self.tails[layer]
        if not tail.normed:
            return tail.needed(residual)
        with timed(report, "keys"):
            outputs = present.down_outputs(layer, settled=layer)  # n × d_out
        return tail.needed(residual, outputs.T)

    def _refactorisations(self) -> int:
        return sum(system.refactorisations for system in self.systems.values())


@contextmanager
def all_or_nothing(model: EditableModel, names: Collection[str]) -> Iterator[None]:
    """Put the named parameters back, to the bit, if anything is raised inside."""
    before = model.read_weights(names)
    try:
        yield
    except BaseException:
        model.write_weights(before)
        raise


@contextmanager
def timed(report: EditReport, phase: str) -> Iterator[None]:
    """Add the seconds spent inside to the report's phase."""
    begin = time.perf_counter()
    yield
    report.seconds[phase] = report.seconds.get(phase, 0.0) + time.perf_counter() - begin


def _describe(report: EditReport, targets: Targets, settings: TargetSettings) -> None:
    report.counters["early_stopped"] = targets.early_stopped(settings)
    report.counters["clamped"] = int(targets.clamped.sum())
    report.values["loss_first"] = float(targets.loss_first[:, 0].mean())
    report.values["loss_last"] = float(targets.loss_last[:, 0].mean())
    report.values["target_passes"] = float(targets.passes.double().mean())
    report.values["target_norm"] = float((targets.z - targets.start).norm(dim=0).mean())
