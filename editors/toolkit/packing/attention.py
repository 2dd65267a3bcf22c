"""Plain attention on the segments of a packed row, with a backward pass written out: few products, few copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

KeysAndValues = tuple[Tensor, Tensor]
Held = tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]
"""Queries, keys, values, weights and squeezed scores of one segment."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Pieces of equal length T that stand one behind the other: B of them, their pasts padded to P."""

    begin: int
    """Place of the first token."""
    rows: int
    length: int
    past: Tensor
    """B × P: places of the past."""
    masks: Mapping[str, Tensor]
    """By kind of attention, B × T × (P + T), added to the scores."""
    stored: Mapping[int, KeysAndValues] = field(default_factory=dict)
    """Layer → keys and values of the past, B × heads × P × d; where there are none, the present pass has them."""

    @property
    def end(self) -> int:
        """Place behind the last token."""
        return self.begin + self.rows * self.length

    def kept(self, stays: Tensor, begin: int) -> Segment:
        """Only the rows chosen by ``stays``, moved to ``begin``; pasts must be stored."""
        return replace(
            self,
            begin=begin,
            rows=int(stays.numel()),
            past=self.past[stays],
            masks={kind: mask[stays] for kind, mask in self.masks.items()},
            stored={layer: (keys[stays], values[stays]) for layer, (keys, values) in self.stored.items()},
        )


def attended(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Sequence[Segment],
    layer: int,
    kind: str,
    scale: float,
    softcap: float | None,
) -> Tensor:
    """softmax(scale · Q Kᵀ + mask) V, each segment by itself.

    Args:
        query: 1 × H × N × d.
        key: 1 × G × N × d; each of the G heads serves H / G query heads.
        value: 1 × G × N × d'.
        segments: Of the row.
        layer: Whose stored past is used.
        kind: Of its attention, which chooses the mask.
        scale: See above.
        softcap: Scores are squeezed below this by tanh, before the mask; None: not at all.

    Returns:
        1 × N × H × d'.
    """
    out: Tensor = _Attention.apply(query, key, value, segments, layer, kind, scale, softcap)  # type: ignore[no-untyped-call]
    return out


class _Attention(torch.autograd.Function):
    """`attend` as a node of the graph."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        segments: Sequence[Segment],
        layer: int,
        kind: str,
        scale: float,
        softcap: float | None,
    ) -> Tensor:
        ctx.sizes, ctx.scale, ctx.softcap = (query.shape, key.shape, value.shape), scale, softcap
        ctx.segments, ctx.layer = segments, layer
        out, ctx.held = attend(query, key, value, segments, layer, kind, scale, softcap)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        query, key, value = into = tuple(gradient.new_empty(size) for size in ctx.sizes)
        attend_backward(gradient, ctx.segments, ctx.held, ctx.layer, ctx.scale, ctx.softcap, into)
        return query, key, value, None, None, None, None, None


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Sequence[Segment],
    layer: int,
    kind: str,
    scale: float,
    softcap: float | None,
) -> tuple[Tensor, list[Held]]:
    """As `attended`, without a graph: each segment is one batch of B · G products, heads of one group in one matrix.

    Returns:
        The result, 1 × N × H × d', and what `attend_backward` needs of each segment.
    """
    heads, groups = query.shape[1], key.shape[1]
    held = []
    out = query.new_empty(1, query.shape[2], heads, value.shape[3])
    for segment in segments:
        q = _rows(query, segment, groups)  # B·G × hT × d, with h = H / G
        k, v = (_joined(states, segment, layer, part) for part, states in enumerate((key, value)))
        scores = torch.bmm(q, k.transpose(1, 2)).mul_(scale)  # B·G × hT × (P + T)
        squeezed = None
        if softcap is not None:
            squeezed = (scores / softcap).tanh_()
            scores = squeezed * softcap
        view = scores.view(segment.rows, heads, segment.length, -1)
        view += segment.masks[kind][:, None]
        weights = scores.softmax(-1, dtype=torch.float32).to(q.dtype)
        _put(out, segment, groups, torch.bmm(weights, v))
        held.append((q, k, v, weights, squeezed))
    return out, held


def attend_backward(
    gradient: Tensor,
    segments: Sequence[Segment],
    held: Sequence[Held],
    layer: int,
    scale: float,
    softcap: float | None,
    into: Sequence[Tensor],
) -> None:
    """Write the gradients of query, key and value, each 1 × heads × N × d, for one of the result, 1 × N × H × d'.

    A past that is stored is given, and gets none; one that stands in the row does.
    """
    query, key, value = (part.transpose(1, 2) for part in into)
    groups = key.shape[2]
    gradient = gradient.transpose(1, 2)
    in_row = []
    for segment, (q, k, v, weights, squeezed) in zip(segments, held, strict=True):
        past = k.shape[1] - segment.length
        given = 0 if past and layer not in segment.stored else past
        g = _rows(gradient, segment, groups)  # B·G × hT × d'
        inner = torch.bmm(g, v.transpose(1, 2))
        scores = torch._softmax_backward_data(inner, weights, -1, weights.dtype)
        if squeezed is not None:
            scores = scores * (1 - squeezed.square())
        scores = scores.mul_(scale)
        _put(query, segment, groups, torch.bmm(scores, k))
        for into_part, weighted, by in ((key, scores, q), (value, weights, g)):
            slopes = torch.bmm(weighted[:, :, given:].transpose(1, 2), by)  # B·G × (P + T) × d, or B·G × T × d
            _put(into_part, segment, groups, slopes[:, past - given :])
            if given < past:
                in_row.append((into_part, segment, slopes[:, :past], past))
    for into_part, segment, slopes, past in in_row:  # once every place has what is its own
        by_place = slopes.reshape(segment.rows, groups, past, -1).transpose(1, 2).flatten(0, 1)  # B·P × G × d
        into_part[0].index_add_(0, segment.past.flatten(), by_place)


def _rows(states: Tensor, segment: Segment, groups: int) -> Tensor:
    """A segment's part of 1 × heads × N × d as B·G × (heads / G)·T × d."""
    heads, size = states.shape[1], states.shape[3]
    part = states[0, :, segment.begin : segment.end].view(heads, segment.rows, segment.length, size)
    return part.transpose(0, 1).reshape(segment.rows * groups, heads // groups * segment.length, size)


def _put(out: Tensor, segment: Segment, groups: int, part: Tensor) -> None:
    """Write B·G × hT × d to the segment's place in 1 × N × H × d."""
    heads = out.shape[2]
    place = out[0, segment.begin : segment.end].view(segment.rows, segment.length, heads, -1)
    place.copy_(part.reshape(segment.rows, heads, segment.length, -1).transpose(1, 2))


def _joined(states: Tensor, segment: Segment, layer: int, part: int) -> Tensor:
    """Keys or values of past and present, B·G × (P + T) × d."""
    groups, size = states.shape[1], states.shape[3]
    present = states[0, :, segment.begin : segment.end].view(groups, segment.rows, segment.length, size).transpose(0, 1)
    if segment.past.shape[1]:
        kept = segment.stored.get(layer)
        past = states[0][:, segment.past].transpose(0, 1) if kept is None else kept[part]
        present = torch.cat([past, present], dim=2)
    return present.reshape(segment.rows * groups, -1, size)
