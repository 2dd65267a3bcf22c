"""Sequences of tokens in batches: those of like length together, within a budget, padded on one side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor


def by_length(
    lengths: Sequence[int], budget: int, *, behind: Sequence[int] | None = None, longest_first: bool = False
) -> list[list[int]]:
    """Deal sequences into batches of like length, each of at most ``budget`` tokens with its padding.

    A sequence that is longer than the budget is a batch by itself.

    Args:
        lengths: Tokens of each sequence.
        budget: Tokens of a batch: its rows times its longest row.
        behind: Tokens that are yet to follow each sequence; a batch has room for the most of its rows. They are the
            second key of the order.
        longest_first: Begin with the longest sequences.

    Returns:
        Places in ``lengths``, each once; sequences of one length keep their order.
    """
    more = behind or [0] * len(lengths)
    sign = -1 if longest_first else 1
    batches: list[list[int]] = []
    longest = 0
    most = 0
    for place in sorted(range(len(lengths)), key=lambda i: (sign * lengths[i], sign * more[i])):
        longest = max(longest, lengths[place])
        most = max(most, more[place])
        if not batches or (len(batches[-1]) + 1) * (longest + most) > budget:
            batches.append([])
            longest = lengths[place]
            most = more[place]
        batches[-1].append(place)
    return batches


def padded(
    sequences: Sequence[Sequence[int]], filler: int = 0, side: Literal["left", "right"] = "right"
) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, both B × S of whole numbers on the CPU; the mask is 1 at tokens, 0 at padding.

    B sequences, the longest of them of S tokens; ``filler`` is put in the free places, which are on ``side``.
    """
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    longest = int(lengths.max())
    ids = torch.full((len(sequences), longest), filler, dtype=torch.long)
    places = torch.arange(longest)[None]
    mask = places < lengths[:, None] if side == "right" else places >= longest - lengths[:, None]
    ids[mask] = torch.tensor([token for sequence in sequences for token in sequence], dtype=torch.long)
    return ids, mask.long()


def filler_of(model: Any, tokenizer: Any) -> int:
    """The token that fills free places: the tokenizer's own, or 0 where it has none or the model has no row for it.

    A padding token may have been added to the tokenizer after the model's embedding was made.
    """
    rows = int(model.get_input_embeddings().weight.shape[0])
    pad = tokenizer.pad_token_id
    return pad if pad is not None and 0 <= pad < rows else 0
