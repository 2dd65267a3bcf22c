"""Groups of sentences that are run together: few passes, bounded memory."""

from __future__ import annotations

from collections.abc import Sequence

_BYTES_TOGETHER = 2**27
_FEWEST_TOKENS = 512
_MOST_TOKENS = 4096


def tokens_together(layers: int, d_inner: int, d_hidden: int) -> int:
    """Tokens that a group may have, so that what the backward pass needs of them stays near 128 MB."""
    per_token = 4 * layers * (4 * d_inner + 10 * d_hidden)  # bytes: MLP and residual-stream activations in float32
    return min(_MOST_TOKENS, max(_FEWEST_TOKENS, _BYTES_TOGETHER // max(1, per_token)))


def grouped(lengths: Sequence[int], ties: Sequence[int], *, most_tokens: int, padded: bool = False) -> list[list[int]]:
    """Indices in groups of about equal numbers of tokens; a longer sentence is a group by itself.

    Args:
        lengths: Of the sentences.
        ties: Second key of the order within one length.
        most_tokens: Of a group.
        padded: Whether each sentence of a group counts as long as its longest.
    """
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], ties[i]))
    if padded:
        return _full(order, lengths, most_tokens)
    count = -(-sum(lengths) // most_tokens)
    while True:
        groups = _even(order, lengths, count)
        if all(len(group) == 1 or sum(lengths[i] for i in group) <= most_tokens for group in groups):
            return groups
        count += 1


def _even(order: Sequence[int], lengths: Sequence[int], count: int) -> list[list[int]]:
    """Consecutive members in at most ``count`` groups, each where the middle of its tokens falls."""
    total, before = sum(lengths), 0
    groups: dict[int, list[int]] = {}
    for index in order:
        middle = 2 * before + lengths[index]
        groups.setdefault(middle * count // (2 * total), []).append(index)
        before += lengths[index]
    return list(groups.values())


def _full(order: Sequence[int], lengths: Sequence[int], most_tokens: int) -> list[list[int]]:
    """Consecutive members, as many as fit when all are as long as the last, the longest."""
    groups: list[list[int]] = []
    for index in order:
        if not groups or (len(groups[-1]) + 1) * lengths[index] > most_tokens:
            groups.append([])
        groups[-1].append(index)
    return groups
