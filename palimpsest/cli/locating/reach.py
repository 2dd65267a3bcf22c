"""The reach of target vectors: at which blocks a vector at the subject's last token makes the model say a new object.

The search for target vectors is that of MEMIT (arXiv 2210.07229, equation 4); see `palimpsest.editors.toolkit.targets`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from palimpsest.editors.toolkit.targets.search import TargetSettings, compute_targets
from palimpsest.editors.toolkit.targets.splitting import suffixes_hold
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.specs.cases import EditRequest

SETTINGS = TargetSettings(
    steps=25, learning_rate=0.5, weight_decay=0.5, clamp_norm_factor=0.75, kl_factor=0.0625, early_stop_loss=0.05
)
"""MEMIT's, as its code has them for GPT-J and GPT-2 XL."""
SAID = 0.5
"""A target is reached where its mean probability per token is above this."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Outcome of the search at one block."""

    block: int
    requests: int
    reached: int
    """Requests whose new object the vector makes likelier than not."""
    passes: float
    """Mean of the forward passes until a request left, of at most `SETTINGS`.steps."""
    moved: float
    """Mean of ‖δ‖ / ‖h_0‖."""


def reach(
    model: EditableModel,
    requests: Sequence[EditRequest],
    blocks: Sequence[int],
    tell: Callable[[Reach], None] = lambda found: None,
) -> list[Reach]:
    """Search target vectors of the same requests at each of these blocks.

    Args:
        model: The unedited model.
        requests: Counterfactual rewrites of facts that it knows.
        blocks: Where the vectors are set.
        tell: Receives each block's outcome.

    Raises:
        EditorError: A request cannot be tokenised, or a loss is not finite.
    """
    templates = model.resources.context_templates(0)
    found = []
    for block in blocks:
        whole = not suffixes_hold(model, block)
        targets = compute_targets(model, requests, templates, block, SETTINGS, whole=whole)
        likely = targets.loss_last[:, 1] < -math.log(SAID)
        moved = (targets.z - targets.start).norm(dim=0) / targets.start.norm(dim=0)
        one = Reach(block, len(requests), int(likely.sum()), float(targets.passes.double().mean()), float(moved.mean()))
        tell(one)
        found.append(one)
    return found


def spread(blocks: int, most: int) -> list[int]:
    """At most so many blocks, evenly over the first three quarters, where editors write."""
    last = max(0, math.ceil(0.75 * blocks) - 1)
    count = min(most, last + 1)
    return sorted({round(place * last / max(1, count - 1)) for place in range(count)})
