"""The engine that is always there: the model in memory answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from palimpsest.harness.abilities.engine import Pairs
from palimpsest.harness.scoring.generation import greedy
from palimpsest.harness.scoring.packing import TargetScores, score_targets

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel


class HfEngine:
    """The model in memory, by transformers; it needs no handing over."""

    name = "hf"
    in_memory = True

    def __init__(self, model: EditableModel) -> None:
        """Ask this model, always as it is then."""
        self._model = model

    def hand_over(self, model: EditableModel) -> None:
        """Nothing to do: edits in place are seen."""

    def score(self, continuations: Pairs) -> TargetScores:
        """See `Engine`; by prefix trees."""
        return score_targets(self._model, continuations)

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[list[int]]:
        """See `Engine`."""
        return greedy(self._model, prompts, max_new_tokens)
