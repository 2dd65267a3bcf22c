"""The published evaluation's reading of ZsRE answers with tokenizers that put BOS before every text (LLaMA's).

It asks for one token at a time, each behind a prompt that is lengthened by the decoded tokens before it and tokenised
anew. Two things go wrong there with a BOS:

* an answer to a locality question is tokenised with it, so that its first token is BOS, which no model says: a third
  of a two-token answer can never be right, and the later tokens are asked for behind a BOS in the middle of the text;
* the later tokens of an edit's answer are asked for behind two spaces.

This makes specificity of LLaMA models lower than it is. It is here to compare with published numbers, and off unless
asked for. With other tokenizers the two readings are the same wherever decoded tokens are tokenised as they were.
"""

from __future__ import annotations

from typing import Any

from palimpsest.harness.specs.cases import Probe


def reference_items(tokenizer: Any, probe: Probe, target: str) -> list[tuple[list[int], list[int]]]:
    """(context, its one target token), in token ids, for each token of a target, which has no leading space."""
    bos = _bos_tokens(tokenizer)
    ids: list[int] = tokenizer(" " + target)["input_ids"]
    if probe.kind != "neighborhood":
        ids = ids[bos:]
    gap = " " if bos and probe.kind != "neighborhood" else ""
    items = []
    for place, token in enumerate(ids):
        before = gap + tokenizer.decode(ids[:place]) if place else ""
        asked = tokenizer(tokenizer.decode([token]))["input_ids"]
        items.append((tokenizer(probe.prompt + before)["input_ids"], asked[bos : bos + 1] or [token]))
    return items


def _bos_tokens(tokenizer: Any) -> int:
    """Number of tokens that the tokenizer puts before a text: 0 or 1."""
    return int(tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id])
