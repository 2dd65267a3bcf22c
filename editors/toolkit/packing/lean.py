"""Blocks like Llama's in few operations, with a backward pass written out, for passes in which weights are frozen.

Such a block is h' = h + o(attention(norm(h))), h'' = h' + down(silu(gate(norm(h'))) ∘ up(norm(h'))), with RMS norms and
rotary positions. Transformers spends some hundred small operations on it, and autograd as many more; on the few tokens
of a single request these take longer than the products. Here a block is one node of the graph. `upper` tells for which
models that is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from palimpsest.editors.toolkit.packing.attention import KeysAndValues, Segment, attend, attend_backward
from palimpsest.editors.toolkit.packing.rows import Packed, kinds_of

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel


class Lean:
    """The upper part of a model: its blocks from any one on, the last norm, the head."""

    def __init__(self, model: EditableModel) -> None:
        """Args: a model whose blocks are of the kind above; see `upper.lean_form`."""
        anatomy = model.anatomy
        kinds = kinds_of(model)
        self._rotary: Any = model.module(anatomy.backbone).rotary_emb
        self._blocks = [_block(model.module(anatomy.block(i)), i, kinds[i]) for i in range(anatomy.n_layers)]
        self._norm, self._head = model.module(anatomy.final_norm), model.module(anatomy.head)

    def logits(self, stream: Tensor, row: Packed, first: int, read: Tensor) -> Tensor:
        """Next-token logits, M × V; differentiable in ``stream``.

        Args:
            stream: N × d_out, what enters block ``first``.
            row: The N tokens.
            first: Lowest block that is run.
            read: M: places that are read, distinct.
        """
        blocks = self._blocks[first:]
        cos, sin = self._angles(stream, row)
        for block in blocks:
            at = read if block is blocks[-1] else None
            stream = _Run.apply(stream, block, cos, sin, row.segments, at)  # type: ignore[no-untyped-call]
        logits: Tensor = self._head(self._norm(stream if blocks else stream[read]))
        return logits

    @torch.no_grad()
    def keys_and_values(self, stream: Tensor, row: Packed, first: int) -> dict[int, KeysAndValues]:
        """Layer → keys and values, heads × N × d, of all blocks from ``first`` on; arguments as in `logits`."""
        cos, sin = self._angles(stream, row)
        found = {}
        for block in self._blocks[first:]:
            _, key, value = _projected(_normed(stream, block.norm)[0], block, cos, sin)
            found[block.layer] = (key[0], value[0])
            if block is not self._blocks[-1]:
                stream = _Run.apply(stream, block, cos, sin, row.segments, None)  # type: ignore[no-untyped-call]
        return found

    def _angles(self, stream: Tensor, row: Packed) -> tuple[Tensor, Tensor]:
        """Cosine and sine of the rotary positions, N × 1 × d."""
        cos, sin = self._rotary(stream[None], row.positions[None])
        return cos[0, :, None], sin[0, :, None]


@dataclass(frozen=True, slots=True)
class _Matrix:
    weight: Tensor
    """d_out × d_in."""
    bias: Tensor | None

    def of(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """X Wᵀ + b."""
        if self.bias is None:
            return torch.mm(x, self.weight.T, out=out)
        return torch.addmm(self.bias, x, self.weight.T, out=out)


@dataclass(frozen=True, slots=True)
class _Norm:
    gain: Tensor
    epsilon: float


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """The numbers that a block computes with."""

    layer: int
    kind: str
    """Kind of its attention, by which the masks of `rows` go."""
    size: int
    """Width of a head."""
    scale: float
    """Factor of its scores."""
    norm: _Norm
    query: _Matrix
    key: _Matrix
    value: _Matrix
    out: _Matrix
    second_norm: _Norm
    gate: _Matrix
    up: _Matrix
    down: _Matrix


def _block(block: Any, layer: int, kind: str) -> _Block:
    attention, mlp = block.self_attn, block.mlp
    norms = [_Norm(n.weight, n.variance_epsilon) for n in (block.input_layernorm, block.post_attention_layernorm)]
    modules = (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj, *(mlp.gate_proj, mlp.up_proj))
    q, k, v, o, gate, up, down = (_Matrix(m.weight.detach(), m.bias) for m in (*modules, mlp.down_proj))
    size, scale = int(attention.head_dim), float(attention.scaling)
    return _Block(layer, kind, size, scale, norms[0], q, k, v, o, norms[1], gate, up, down)


class _Run(torch.autograd.Function):
    """One block; N × d_out to the same, or to M × d_out of the places that are read."""

    @staticmethod
    def forward(
        ctx: Any,
        stream: Tensor,
        block: _Block,
        cos: Tensor,
        sin: Tensor,
        segments: Sequence[Segment],
        at: Tensor | None,
    ) -> Tensor:
        x, unit, scale = _normed(stream, block.norm)
        query, key, value = _projected(x, block, cos, sin)
        mixed, held = attend(query, key, value, segments, block.layer, block.kind, block.scale, None)
        mixed = mixed.flatten(2)[0]
        middle = stream
        if at is not None:
            mixed, middle = mixed[at], stream[at]
        middle = block.out.of(mixed).add_(middle)
        x, second_unit, second_scale = _normed(middle, block.second_norm)
        gate, up = block.gate.of(x), block.up.of(x)
        open = torch.nn.functional.silu(gate)
        result = block.down.of(open * up).add_(middle)
        ctx.block, ctx.cos, ctx.sin, ctx.segments, ctx.at = block, cos, sin, segments, at
        ctx.attention = held
        ctx.first, ctx.second, ctx.inner = (unit, scale), (second_unit, second_scale), (gate, up, open)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        block = ctx.block
        gate, up, open = ctx.inner
        inner = torch.mm(gradient, block.down.weight)  # M × d_in
        x = torch.mm(inner * open, block.up.weight)
        x.addmm_(torch.ops.aten.silu_backward(inner.mul_(up), gate), block.gate.weight)
        middle = _norm_backward(x, ctx.second, block.second_norm).add_(gradient)  # M × d_out
        mixed = torch.mm(middle, block.out.weight)
        if ctx.at is not None:
            places = len(ctx.cos)
            mixed = mixed.new_zeros(places, mixed.shape[1]).index_copy_(0, ctx.at, mixed)
            middle = middle.new_zeros(places, middle.shape[1]).index_copy_(0, ctx.at, middle)
        slopes, (query, key, value), heads = _room(mixed, block)
        mixed = mixed.view(1, len(mixed), -1, block.size)
        attend_backward(mixed, ctx.segments, ctx.attention, block.layer, block.scale, None, heads)
        _turn(slopes, block, ctx.cos, -ctx.sin)
        x = torch.mm(query, block.query.weight)
        x.addmm_(key, block.key.weight).addmm_(value, block.value.weight)
        return _norm_backward(x, ctx.first, block.norm).add_(middle), None, None, None, None, None


def _room(like: Tensor, block: _Block) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Queries, keys and values side by side, N × (H + 2G)·d; each as a matrix, and each as 1 × heads × N × d."""
    sizes = [matrix.weight.shape[0] for matrix in (block.query, block.key, block.value)]
    whole = like.new_empty(len(like), sum(sizes))
    parts = list(torch.split(whole, sizes, dim=1))
    return whole, parts, [part.view(1, len(like), -1, block.size).transpose(1, 2) for part in parts]


def _projected(x: Tensor, block: _Block, cos: Tensor, sin: Tensor) -> list[Tensor]:
    """Queries, keys and values, 1 × heads × N × d, turned by their positions."""
    whole, parts, heads = _room(x, block)
    for matrix, part in zip((block.query, block.key, block.value), parts, strict=True):
        matrix.of(x, out=part)
    _turn(whole, block, cos, sin)
    return heads


def _turn(whole: Tensor, block: _Block, cos: Tensor, sin: Tensor) -> None:
    """Turn queries and keys, what stands before the values in ``whole``, by the angles, N × 1 × d."""
    turned = whole[:, : -block.value.weight.shape[0]].view(len(whole), -1, block.size)
    half = block.size // 2
    low, high = turned[..., :half], turned[..., half:]
    before = low.clone()
    low.mul_(cos[..., :half]).addcmul_(high, sin[..., :half], value=-1)
    high.mul_(cos[..., half:]).addcmul_(before, sin[..., half:])


def _normed(stream: Tensor, norm: _Norm) -> tuple[Tensor, Tensor, Tensor]:
    """The RMS norm's output, N × d_out, the same in float32 before the gain, and 1 / rms, N × 1."""
    wide = stream.float()
    scale = wide.square().mean(-1, keepdim=True).add_(norm.epsilon).rsqrt_()
    unit = wide * scale
    return unit.to(stream.dtype) * norm.gain, unit, scale


def _norm_backward(gradient: Tensor, kept: tuple[Tensor, Tensor], norm: _Norm) -> Tensor:
    """Gradient of the norm's input, N × d_out; ``kept`` is what `_normed` gave beside the output."""
    unit, scale = kept
    inner = gradient.float() * norm.gain
    along = (inner * unit).mean(-1, keepdim=True)
    return inner.addcmul_(unit, along, value=-1).mul_(scale).to(gradient.dtype)
