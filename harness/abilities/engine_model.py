"""Running text and choices as engines are asked about them, in token ids; no lm-eval, which is slow to import."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palimpsest.harness.abilities.engine import Engine
    from palimpsest.harness.model.editable import EditableModel


WINDOW = 512
"""Tokens of the windows that running text is read in, each token once; models with shorter contexts take theirs."""
LONGEST = 8192
"""Tokens of the longest text that is asked about, also where a model would take more."""
Pair = tuple[list[int], list[int]]
"""Token ids that are given, and those that are asked for behind them."""


def make_lm(model: EditableModel, engine: Engine) -> Any:
    """An lm-eval model for the tokenizer of ``model`` that asks ``engine``."""
    from palimpsest.harness.abilities.lm_eval_model import EngineModel

    return EngineModel(model, engine)


def reading_windows(tokens: Sequence[int], window: int, *, prefix: int, begins: bool) -> Iterator[Pair]:
    """Running text in windows that ask for each token once, behind at least one token.

    Args:
        tokens: Of the text, without special tokens.
        window: Tokens that a window asks for, or gives and asks for together.
        prefix: Token that the first one is asked behind, such as BOS.
        begins: The model's texts begin with ``prefix``, so every window does, once; otherwise only the first one.

    Yields:
        The given and the asked tokens of each window. The last one is given as much of the text before it as there is
        room for, the others one token.
    """
    if not tokens:
        return
    first = list(tokens[:window])
    yield [prefix], first
    before = [prefix] if begins else []
    for start in range(window, len(tokens), window):
        asked = list(tokens[start : start + window])
        given = list(tokens[start + len(asked) - window - 1 : start])
        yield [*before, *given], asked
