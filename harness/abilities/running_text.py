"""Running text in windows of tokens, as engines are asked about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

WINDOW = 512
"""Tokens of the windows that running text is read in, each token once; models with shorter contexts take theirs."""
Pair = tuple[list[int], list[int]]
"""Token ids that are given, and those that are asked for behind them."""


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
