"""Norms of the weights that an editor has written, and of what it added to them."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from palimpsest.harness.metrics.diagnostic_definitions import Diagnostic

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel


def weight_norms(model: EditableModel, written: Collection[str]) -> list[Diagnostic]:
    """‖W_t‖_F and ‖W_t − W_0‖_F, in float64, of every parameter in ``written``, by layer.

    They are ``weight_norm`` and ``update_norm``, with ``:parameter`` behind it for one that is no down-projection.
    """
    layers = {model.anatomy.weight_name(layer): layer for layer in range(model.anatomy.n_layers)}
    weights = model.read_weights(sorted(written))
    rows = []
    for name in sorted(weights, key=lambda name: (layers.get(name, -1), name)):
        label = "" if name in layers else f":{name}"
        weight = weights[name].double()
        update = weight - model.pristine(name).double()
        rows.append(Diagnostic(f"weight_norm{label}", layers.get(name), float(weight.norm())))
        rows.append(Diagnostic(f"update_norm{label}", layers.get(name), float(update.norm())))
    return rows
