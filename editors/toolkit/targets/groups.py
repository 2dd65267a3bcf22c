"""Which sentences are run together: little padding, few passes, bounded memory."""

from __future__ import annotations

from collections.abc import Sequence

_BYTES_TOGETHER = 2**27
_FEWEST_TOKENS = 512
_MOST_TOKENS = 4096
_PASS_COST = 5e6


def tokens_together(layers: int, d_inner: int, d_hidden: int) -> int:
    """How many tokens a group may have, so that what the backward pass needs of them stays near 128 MB."""
    per_token = 4 * layers * (4 * d_inner + 10 * d_hidden)  # bytes: MLP and residual-stream activations in float32
    return min(_MOST_TOKENS, max(_FEWEST_TOKENS, _BYTES_TOGETHER // max(1, per_token)))


def pass_cost(d_inner: int, d_hidden: int) -> float:
    """What a pass costs whatever its size, in tokens: small models run longer sentences to save passes."""
    return _PASS_COST / (d_inner * d_hidden)


def grouped(lengths: Sequence[int], ties: Sequence[int], *, most_tokens: int, cost_of_group: float) -> list[list[int]]:
    """Indices in groups, each padded to its longest, by the cheapest cut of the sorted lengths.

    Args:
        lengths: Of the sentences.
        ties: Second key of the order within one length.
        most_tokens: Of a group, padding included; a longer sentence is a group by itself.
        cost_of_group: Tokens of padding that a group more is worth.
    """
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], ties[i]))
    sizes = sorted(set(lengths))
    counts = [sum(length == size for length in lengths) for size in sizes]
    # best[j] = (cost of the j shortest sizes, where their last group begins)
    best: list[tuple[float, int]] = [(0.0, 0)]
    for j in range(1, len(sizes) + 1):
        best.append(min((best[i][0] + cost_of_group + sizes[j - 1] * sum(counts[i:j]), i) for i in range(j)))
    cuts = [len(sizes)]
    while cuts[-1] > 0:
        cuts.append(best[cuts[-1]][1])
    groups = []
    for end, begin in zip(cuts, cuts[1:], strict=False):
        members = order[sum(counts[:begin]) : sum(counts[:end])]
        rows = max(1, most_tokens // sizes[end - 1])
        parts = -(-len(members) // rows)
        groups += [members[len(members) * part // parts : len(members) * (part + 1) // parts] for part in range(parts)]
    return groups
