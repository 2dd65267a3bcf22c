"""The engine that is always there: the model in memory answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from palimpsest.harness.abilities.engine import Pairs
from palimpsest.harness.model.batches import filler_of, padded
from palimpsest.harness.scoring.packing import TargetScores, score_targets

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel


_ROWS = 32


class HfEngine:
    """The model in memory, by transformers; it needs no handing over."""

    name = "hf"
    in_memory = True

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
        filler = filler_of(self._model.model, self._model.tokenizer)
        texts: list[list[int]] = [[] for _ in prompts]
        order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
        for start in range(0, len(order), _ROWS):
            rows = order[start : start + _ROWS]
            ids, mask = padded([prompts[i] for i in rows], filler, "left")
            width = ids.shape[1]
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
