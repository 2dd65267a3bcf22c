"""Sentences side by side in one row of tokens: no padding in the matrices, what they share computed once.

Everything in a block but attention treats each token by itself, so all tokens of a batch go through a block as one
1 × N row. Attention is computed segment by segment: a segment is a run of tokens of rows of equal length, and each row
sees its own tokens and the *past*, tokens that stand elsewhere in the row (a beginning that several sentences share)
or whose keys and values are kept from an earlier pass. On so few positions plain products are several times faster
than fused attention.

The function that does this is handed to transformers as one of its attention implementations, for the time of a pass.
`packing_holds` tries that a model gives the same numbers with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import AttentionInterface

from palimpsest.editors.toolkit.packing.attention import KeysAndValues, Segment, attended

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel

_NAME = "palimpsest_packed"


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive tokens of one sentence, and where its earlier tokens are."""

    ids: tuple[int, ...]
    past: tuple[int, ...] = ()
    """Place of each earlier token, from the sentence's first; its number is the position of the piece's first token."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A row of N tokens."""

    ids: Tensor
    """N."""
    positions: Tensor
    """N: position of each token in its sentence."""
    segments: tuple[Segment, ...]

    def arguments(self) -> dict[str, Any]:
        """Arguments that the model is called with, inside `attending`."""
        nothing = torch.zeros(1, 1, 1, 1, device=self.ids.device)  # of four dimensions, so that models leave it alone
        return {
            "input_ids": self.ids[None],
            "position_ids": self.positions[None],
            "attention_mask": nothing,
            "use_cache": False,
        }


def packed(model: EditableModel, pieces: Sequence[Piece], *, windows: Mapping[str, int] | None = None) -> Packed:
    """Lay pieces out in their order; neighbours of equal length make a segment."""
    device = model.device
    windows = attention_windows(model) if windows is None else windows
    dtype = next(model.model.parameters()).dtype
    segments = []
    first, begin = 0, 0
    while first < len(pieces):
        length = len(pieces[first].ids)
        last = first
        while last < len(pieces) and len(pieces[last].ids) == length:
            last += 1
        rows = pieces[first:last]
        longest = max(len(piece.past) for piece in rows)
        past = torch.tensor([[*piece.past, *[0] * (longest - len(piece.past))] for piece in rows], dtype=torch.long)
        starts = torch.tensor([len(piece.past) for piece in rows])
        masks = {kind: _mask(starts, longest, length, window, dtype).to(device) for kind, window in windows.items()}
        segments.append(Segment(begin, len(rows), length, past.to(device), masks))
        begin += len(rows) * length
        first = last
    ids = torch.tensor([token for piece in pieces for token in piece.ids], dtype=torch.long)
    positions = torch.tensor([len(piece.past) + i for piece in pieces for i in range(len(piece.ids))], dtype=torch.long)
    return Packed(ids.to(device), positions.to(device), tuple(segments))


def _mask(starts: Tensor, longest: int, length: int, window: int, dtype: torch.dtype) -> Tensor:
    """Additive mask of a segment, B × T × (P + T): the lowest number where a token must not look."""
    slots = torch.cat([torch.arange(longest).expand(len(starts), -1), starts[:, None] + torch.arange(length)], dim=1)
    present = torch.cat(
        [torch.arange(longest) < starts[:, None], torch.ones(len(starts), length, dtype=torch.bool)], dim=1
    )
    distance = (starts[:, None] + torch.arange(length))[:, :, None] - slots[:, None, :]
    seen = present[:, None] & (distance >= 0) & ((distance < window) if window else True)
    return torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)


def attention_windows(model: EditableModel) -> dict[str, int]:
    """Kinds of attention of a model's blocks and how far they look back; 0 is without limit."""
    config = model.model.config.get_text_config()
    window = int(getattr(config, "sliding_window", None) or 0)
    kinds = getattr(config, "layer_types", None) or ["sliding_attention" if window else "full_attention"]
    return {kind: window if kind == "sliding_attention" else 0 for kind in sorted(set(kinds))}


def kinds_of(model: EditableModel) -> Sequence[str]:
    """Kind of attention of each block."""
    kinds = getattr(model.model.config.get_text_config(), "layer_types", None)
    return kinds or list(attention_windows(model)) * model.anatomy.n_layers


class _Pass:
    """One pass through a model: the segments, and the keys and values that are to be kept."""

    def __init__(self, model: EditableModel, segments: Sequence[Segment]) -> None:
        self.segments = segments
        self.kinds = kinds_of(model)
        self.kept: dict[int, KeysAndValues] = {}
        self.wanted: range | None = None


_PASS: ContextVar[_Pass] = ContextVar("pass")


@contextmanager
def attending(
    model: EditableModel, segments: Sequence[Segment], *, keep: range | None = None
) -> Iterator[dict[int, KeysAndValues]]:
    """Let the model's attention work on segments.

    Args:
        model: Its passes inside must be over the row that the segments belong to.
        segments: Of the row.
        keep: Layers of which keys and values are wanted.

    Yields:
        Layer → keys and values of the last pass, heads × N × d.
    """
    config = model.model.config
    before = config._attn_implementation
    present = _Pass(model, segments)
    present.wanted = keep
    token = _PASS.set(present)
    AttentionInterface.register(_NAME, _attend)
    try:
        config._attn_implementation = _NAME
        yield present.kept
    finally:
        config._attn_implementation = before
        _PASS.reset(token)


def _attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None = None, **settings: Any
) -> tuple[Tensor, None]:
    """Attention of one layer: queries, keys and values are 1 × heads × N × d; returns 1 × N × heads × d."""
    if settings.get("position_bias") is not None or settings.get("s_aux") is not None:
        raise ValueError("Attention with a bias or sinks of its own cannot be packed.")
    present, layer = _PASS.get(), module.layer_idx
    if present.wanted is not None and layer in present.wanted:
        present.kept[layer] = (key[0].detach(), value[0].detach())
    scaling = settings.get("scaling")
    scale = query.shape[-1] ** -0.5 if scaling is None else float(scaling)
    kind = present.kinds[layer]
    out = attended(query, key, value, present.segments, layer, kind, scale, settings.get("softcap"))
    return out, None


def with_past_of(segment: Segment, store: Mapping[int, KeysAndValues]) -> Segment:
    """The segment with keys and values of its past taken from a store (layer → heads × places × d)."""

    def of_past(states: Tensor) -> Tensor:
        return states[:, segment.past].transpose(0, 1).contiguous()

    return replace(segment, stored={layer: (of_past(keys), of_past(values)) for layer, (keys, values) in store.items()})
