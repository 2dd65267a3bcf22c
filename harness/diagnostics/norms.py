"""How an edited model is: norms of its written weights, values that are not finite, and a canary of likelihoods."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import torch

from palimpsest.harness.metrics.diagnostic_definitions import Diagnostic
from palimpsest.harness.scoring.packing import score_targets

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel

CANARY_PROMPTS = (
    "The mother of the girl lives in the city",
    "1 + 1 = 2",
    "One day he said that it was not so",
    "Zoë, 42, plays chess; who knows why?",
)


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


def not_finite(model: EditableModel, names: Collection[str]) -> list[str]:
    """Those of the parameters ``names`` that hold a NaN or an infinity."""
    weights = model.read_weights(names)
    return sorted(name for name, weight in weights.items() if not bool(torch.isfinite(weight).all()))


def canary(model: EditableModel, prompts: Sequence[str] = CANARY_PROMPTS) -> tuple[float, ...]:
    """Mean log-probability per token, in nats, of each prompt after its first token.

    Two models with the same canary, up to rounding, are the same model for all that scoring can see. Compare it after a
    model was loaded, resumed or handed to another program; see `canary_drift`.
    """
    rows = model.tokenizer(list(prompts))["input_ids"]
    scores = score_targets(model, [(row[:1], row[1:]) for row in rows])
    return tuple(scores.log_prob.tolist())


def canary_drift(before: Sequence[float], after: Sequence[float]) -> float:
    """Largest difference of two canaries in nats per token; infinite where one has a value that is not finite."""
    differences = [abs(one - other) for one, other in zip(before, after, strict=True)]
    return max(difference if math.isfinite(difference) else math.inf for difference in differences)
