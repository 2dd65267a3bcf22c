"""Plain attention on the segments of a packed row, with a backward pass written out: few products, few copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

KeysAndValues = tuple[Tensor, Tensor]


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
    """Each segment as one batch of B · G products, query heads of one group below one another."""

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
        heads, groups = query.shape[1], key.shape[1]
        ctx.sizes, ctx.scale, ctx.softcap = (query.shape, key.shape, value.shape), scale, softcap
        ctx.segments = segments
        ctx.held = []
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
            ctx.held.append((q, k, v, weights, squeezed))
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        query, key, value = (gradient.new_empty(size) for size in ctx.sizes)
        groups = key.shape[1]
        gradient = gradient.transpose(1, 2)
        for segment, (q, k, v, weights, squeezed) in zip(ctx.segments, ctx.held, strict=True):
            past = k.shape[1] - segment.length  # the past is given, and gets no gradient
            g = _rows(gradient, segment, groups)  # B·G × hT × d'
            inner = torch.bmm(g, v.transpose(1, 2))
            scores = torch._softmax_backward_data(inner, weights, -1, weights.dtype)
            if squeezed is not None:
                scores = scores * (1 - squeezed.square())
            scores = scores.mul_(ctx.scale)
            _put(query.transpose(1, 2), segment, groups, torch.bmm(scores, k))
            _put(key.transpose(1, 2), segment, groups, torch.bmm(scores[:, :, past:].transpose(1, 2), q))
            _put(value.transpose(1, 2), segment, groups, torch.bmm(weights[:, :, past:].transpose(1, 2), g))
        return query, key, value, None, None, None, None, None


def _rows(states: Tensor, segment: Segment, groups: int) -> Tensor:
    """A segment's part of 1 × heads × N × d as B·G × (heads / G)·T × d."""
    heads, size = states.shape[1], states.shape[3]
    part = states[0, :, segment.begin : segment.end].view(heads, segment.rows, segment.length, size)
    return part.transpose(0, 1).reshape(segment.rows * groups, heads // groups * segment.length, size)


def _put(out: Tensor, segment: Segment, groups: int, part: Tensor) -> None:
    """Write B·G × hT × d to the segment's place in 1 × N × H × d."""
    heads = out.shape[2]
    place = out[0, segment.begin : segment.end].view(segment.rows, segment.length, heads, -1)
    place.copy_(part.view(segment.rows, heads, segment.length, -1).transpose(1, 2))


def _joined(states: Tensor, segment: Segment, layer: int, part: int) -> Tensor:
    """Keys or values of past and present, B·G × (P + T) × d."""
    groups, size = states.shape[1], states.shape[3]
    present = states[0, :, segment.begin : segment.end].view(groups, segment.rows, segment.length, size).transpose(0, 1)
    if segment.past.shape[1]:
        kept = segment.stored.get(layer)
        past = states[0][:, segment.past].transpose(0, 1) if kept is None else kept[part]
        present = torch.cat([past, present], dim=2)
    return present.reshape(segment.rows * groups, -1, size)
