"""The way of updates to the weights: through filters, one layer after another or once all layers are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from palimpsest.harness.editor import EditReport, LayerUpdate
from palimpsest.harness.errors import ModelCollapsed

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel


class UpdateFilter(Protocol):
    """Changes an update before it is written."""

    @property
    def after_all_layers(self) -> bool:
        """True if it waits until the updates of all layers of a batch are known, so that none sees its effect."""

    def filter(self, update: LayerUpdate, weight: Tensor, report: EditReport) -> LayerUpdate:
        """The update to write in place of ``update``; see `palimpsest.editors.toolkit.filtering.Filter.filter`."""


def full(update: LayerUpdate) -> Tensor:
    """Δ, d_out × d_in, from itself or from its factors R Aᵀ."""
    if update.delta is not None:
        return update.delta
    if update.influence is None or update.activation is None:
        raise ValueError(f"The update of layer {update.layer} has neither delta nor both factors.")
    return update.influence @ update.activation.T


class Writer:
    """Writes the updates of one batch through filters.

    The first filter that waits for all layers makes those after it wait too. Until then its update is written as it
    came, for the sake of the layers above; `finish` takes that back and writes what the filters make of it.
    """

    def __init__(self, model: EditableModel, filters: Sequence[UpdateFilter], report: EditReport) -> None:
        """Args: the model, its filters from the innermost out, and the batch's report."""
        waits = [filter.after_all_layers for filter in filters]
        first = waits.index(True) if True in waits else len(filters)
        self._model, self._report = model, report
        self._at_once, self._later = filters[:first], filters[first:]
        self._before: dict[str, Tensor] = {}
        self._waiting: list[LayerUpdate] = []
        self.written: list[LayerUpdate] = []
        """Updates that were written for good, in this order."""

    def write(self, update: LayerUpdate) -> None:
        """W += Δ, filtered.

        Raises:
            ModelCollapsed: The update is not finite.
        """
        for part in (update.delta, update.influence, update.activation):
            _require_finite(part, update.layer)
        update = self._filtered(update, self._at_once)
        if self._later:
            name = self._model.anatomy.weight_name(update.layer)
            if name not in self._before:
                self._before |= self._model.read_weights([name])
            self._waiting.append(update)
            self._model.add_update(update.layer, self._delta(update))
        else:
            self._keep(update)

    def finish(self) -> None:
        """Apply the filters that waited; called once all layers of the batch are written.

        Raises:
            ModelCollapsed: A filtered update is not finite.
        """
        self._model.write_weights(self._before)
        for update in self._waiting:
            self._keep(self._filtered(update, self._later))
        self._before, self._waiting = {}, []

    def _filtered(self, update: LayerUpdate, filters: Sequence[UpdateFilter]) -> LayerUpdate:
        for filter in filters:
            weight = self._model.weight(update.layer)
            update = filter.filter(_on(weight.device, update), weight, self._report)
        return update

    def _delta(self, update: LayerUpdate) -> Tensor:
        delta = full(update)
        _require_finite(delta, update.layer)
        return delta

    def _keep(self, update: LayerUpdate) -> None:
        delta = self._delta(update)
        self._model.add_update(update.layer, delta)
        self._report.values[f"update_norm.{update.layer}"] = float(delta.norm())
        self.written.append(update)


def _require_finite(part: Tensor | None, layer: int) -> None:
    if part is not None and not bool(torch.isfinite(part).all()):
        raise ModelCollapsed(f"The update of layer {layer} is not finite: the model has collapsed.")


def _on(device: torch.device, update: LayerUpdate) -> LayerUpdate:
    """The update with its tensors where the layer's weight is; a model may lie on several devices."""
    parts = (update.influence, update.activation, update.keys, update.delta)
    return LayerUpdate(update.layer, *[None if part is None else part.to(device) for part in parts])


def kept_energy(after: LayerUpdate, before: LayerUpdate) -> float:
    """‖Δ'‖² / ‖Δ‖² of an update after and before a filter; 1 for an update of zeros."""
    whole = _energy(before)
    return _energy(after) / whole if whole > 0 else 1.0


def _energy(update: LayerUpdate) -> float:
    """‖Δ‖²; through the small Gram matrices where there are factors, ‖R Aᵀ‖² = Σ (RᵀR ∘ AᵀA)."""
    r, a = update.influence, update.activation
    if update.delta is None and r is not None and a is not None:
        return float(((r.T @ r) * (a.T @ a)).sum())
    return float(full(update).square().sum())
