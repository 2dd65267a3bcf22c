"""A few prompts answered before and after, to see whether another engine holds the same weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from palimpsest.harness.scoring.packing import score_targets

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel


CANARY_PROMPTS = (
    "The mother of the girl lives in the city",
    "1 + 1 = 2",
    "One day he said that it was not so",
    "Zoë, 42, plays chess; who knows why?",
)


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
