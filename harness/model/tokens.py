"""Texts as token ids, in the two places in which an edit needs them: what is asked, and what follows it.

A tokenizer may put a token before every text (BOS), one behind it (EOS), or a space before its first word
(SentencePiece): right for a text of its own, wrong for the second half of one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

_BEFORE = "a"
"""Stands before a continuation while it is tokenised: no tokenizer joins it to the space that follows."""


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Tokens that end a text: those of the model's configuration, and the tokenizer's.

    ``generation_config.json`` is not asked: it is no part of what identifies a model, so it may move no number.
    """
    config = model.config.get_text_config()
    named: Any = getattr(config, "eos_token_id", None)
    several = named if isinstance(named, list | tuple) else [named]
    return frozenset(int(token) for token in (*several, tokenizer.eos_token_id) if token is not None)


def until_end(tokens: Sequence[int], ends: Collection[int]) -> list[int]:
    """The tokens before the first of ``ends``."""
    stop = next((i for i, token in enumerate(tokens) if token in ends), len(tokens))
    return list(tokens[:stop])


def prompt_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Each text with the special tokens that the tokenizer puts before it, and without any that it puts behind."""
    if not texts:
        return []
    rows: list[list[int]] = tokenizer(list(texts))["input_ids"]
    framed, plain = (tokenizer(_BEFORE, add_special_tokens=special)["input_ids"] for special in (True, False))
    starts = [i for i in range(len(framed)) if framed[i : i + len(plain)] == plain]
    behind = len(framed) - starts[0] - len(plain) if starts else 0
    return [row[: len(row) - behind] for row in rows]


def continuation_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Each text, which begins with a space, as it is tokenised behind other text; no special tokens.

    Behind a prompt, `` Brno`` has one space, also for a tokenizer that would put another one before a text of its own.
    """
    if not texts:
        return []
    before: list[int] = tokenizer(_BEFORE, add_special_tokens=False)["input_ids"]
    rows = tokenizer([_BEFORE + text for text in texts], add_special_tokens=False)["input_ids"]
    if all(row[: len(before)] == before for row in rows):
        return [row[len(before) :] for row in rows]
    alone: list[list[int]] = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return alone
