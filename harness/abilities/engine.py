"""Who answers ability tasks: transformers in memory, or another program to which the edited model is handed over.

Engines take and give token ids, so that every engine is asked exactly the same. Probes of edits and sampled texts are
always asked of the model in memory: see docs/engines.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from palimpsest.harness.diagnostics.norms import CANARY_PROMPTS, canary, canary_drift
from palimpsest.harness.errors import EngineMismatch, UsageError, unknown_name
from palimpsest.harness.model.engine_names import ENGINES
from palimpsest.harness.scoring.packing import TargetScores, score_targets

if TYPE_CHECKING:
    from pathlib import Path

    from palimpsest.harness.model.editable import EditableModel

Pairs = Sequence[tuple[Sequence[int], Sequence[int]]]
TOLERANCE = {torch.float32: 2e-3, torch.bfloat16: 0.1, torch.float16: 0.03}
"""How far, in nats per token, a canary may be off for rounding alone."""
_ROWS = 32


class Engine(Protocol):
    """Answers questions in token ids about the model that was handed over last."""

    name: str

    def hand_over(self, model: EditableModel) -> None:
        """Take the weights of ``model`` as they are now."""

    def score(self, continuations: Pairs) -> TargetScores:
        """As `palimpsest.harness.scoring.packing.score_targets`."""

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[list[int]]:
        """Greedy continuations, ended before an end-of-text token, of at most ``max_new_tokens`` tokens each."""


class HfEngine:
    """The model in memory, by transformers; it needs no handing over."""

    name = "hf"

    def __init__(self, model: EditableModel) -> None:
        """Args: the model that is asked, always as it is then."""
        self._model = model

    def hand_over(self, model: EditableModel) -> None:
        """Nothing to do: edits in place are seen."""

    def score(self, continuations: Pairs) -> TargetScores:
        """See `Engine`; by prefix trees."""
        return score_targets(self._model, continuations)

    @torch.no_grad()
    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[list[int]]:
        """See `Engine`; prompts of like length together, padded on the left, with a key-value cache."""
        ends = end_tokens(self._model)
        filler = self._model.tokenizer.pad_token_id or 0
        texts: list[list[int]] = [[] for _ in prompts]
        order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
        for start in range(0, len(order), _ROWS):
            rows = order[start : start + _ROWS]
            width = max(len(prompts[i]) for i in rows)
            ids = torch.tensor([[filler] * (width - len(prompts[i])) + list(prompts[i]) for i in rows])
            mask = torch.tensor([[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in rows])
            out = self._model.model.generate(
                input_ids=ids.to(self._model.device),
                attention_mask=mask.to(self._model.device),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=filler,
                eos_token_id=sorted(ends) or None,
            )
            for i, row in zip(rows, out[:, width:].tolist(), strict=True):
                texts[i] = until_end(row, ends)
        return texts


def end_tokens(model: EditableModel) -> frozenset[int]:
    """The tokens that end a text of this model."""
    found: Any = model.model.generation_config.eos_token_id
    several = found if isinstance(found, list | tuple) else [found]
    return frozenset(token for token in [*several, model.tokenizer.eos_token_id] if token is not None)


def until_end(tokens: Sequence[int], ends: frozenset[int]) -> list[int]:
    """The tokens before the first that ends the text."""
    stop = next((i for i, token in enumerate(tokens) if token in ends), len(tokens))
    return list(tokens[:stop])


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
    if isinstance(engine, HfEngine):
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


def make_engine(name: str, model: EditableModel, folder: Path | None) -> Engine:
    """The engine called ``name`` for a model in memory.

    Args:
        name: One of `ENGINES`.
        model: The model in memory.
        folder: Where its files are; needed by engines that load it themselves.

    Raises:
        UsageError: No engine is called so.
        MissingResource: It is not installed or does not start.
    """
    if name == "hf":
        return HfEngine(model)
    if name == "vllm":
        from palimpsest.harness.abilities.vllm_engine import VllmEngine

        if folder is None:
            raise UsageError("Engine vllm loads a model from its folder; this model has none.")
        return VllmEngine(model, folder)
    raise unknown_name("Engine", name, ENGINES, "palimpsest run --help")
