"""Engines that answer ability tasks: transformers in memory, or another program to which the edited model is handed.

Engines take and give token ids, so that every engine is asked exactly the same. Probes of edits and sampled texts are
always asked of the model in memory: see docs/engines.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from palimpsest.harness.errors import EngineMismatch, UsageError
from palimpsest.harness.scoring.canary import CANARY_PROMPTS, canary, canary_drift
from palimpsest.harness.scoring.packing import TargetScores

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel


Pairs = Sequence[tuple[Sequence[int], Sequence[int]]]
TOLERANCE = {torch.float32: 2e-3, torch.bfloat16: 0.1, torch.float16: 0.03}
"""Nats per token by which a canary may be off for rounding alone."""


class Engine(Protocol):
    """Answers questions in token ids about the model that was handed over last."""

    name: str
    in_memory: bool
    """True if it answers from the very model that is edited, so that nothing is handed over."""

    def hand_over(self, model: EditableModel) -> None:
        """Take the weights of ``model`` as they are now."""

    def score(self, continuations: Pairs) -> TargetScores:
        """As `palimpsest.harness.scoring.packing.score_targets`."""

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[list[int]]:
        """Greedy continuations, ended before an end-of-text token, of at most ``max_new_tokens`` tokens each."""


def hand_over(engine: Engine, model: EditableModel, texts: Sequence[str] = ()) -> float:
    """Give the edited model to an engine and check by a canary that it arrived; the drift in nats per token.

    Args:
        engine: Who takes it.
        model: The edited model, as it is to be asked.
        texts: More texts for the canary: of facts that were edited, so that a stale engine shows at once.

    Raises:
        EngineMismatch: The engine does not see what transformers sees.
        UsageError: The edits are not in the weights, and the engine takes only weights.
    """
    if engine.in_memory:
        return 0.0
    if any(module._forward_hooks or module._forward_pre_hooks for module in model.model.modules()):
        raise UsageError(
            f"Engine {engine.name}: this editor works by hooks on the model, not by weights, and only weights can be "
            "handed over. Use --engine hf."
        )
    engine.hand_over(model)
    prompts = [*CANARY_PROMPTS, *texts]
    rows = model.tokenizer(prompts)["input_ids"]
    theirs = engine.score([(row[:1], row[1:]) for row in rows]).log_prob
    drift = canary_drift(canary(model, prompts), tuple(np.asarray(theirs, dtype=np.float64).tolist()))
    allowed = TOLERANCE[model.model.dtype]
    if not drift <= allowed:
        raise EngineMismatch(
            f"Engine {engine.name} does not answer as transformers does after the edited model was handed over: a "
            f"canary differs by {drift:.3g} nats per token, at most {allowed:g} is rounding. This checkpoint is not "
            "scored. The same command tries again; --engine hf scores without it."
        )
    return drift
