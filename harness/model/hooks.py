"""Running parts of a model: skip blocks, capture inputs and outputs, apply the head at chosen positions only.

Everything is a context manager and leaves the model as it was, also when an exception passes through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel

BlockForward = Callable[[Tensor], Tensor]
"""Residual stream below a block → residual stream above it, both B × S × d_out."""


def unchanged(hidden: Tensor) -> Tensor:
    """Stand-in for a block that is skipped."""
    return hidden


@contextmanager
def replaced_blocks(model: EditableModel, replacements: Mapping[int, BlockForward]) -> Iterator[None]:
    """Run functions of the residual stream, B × S × d_out to the same, instead of the blocks of these layers.

    The model still embeds, builds masks and rotary angles and calls its other blocks itself, so this is right for
    every architecture.
    """
    anatomy = model.anatomy
    blocks = [model.module(anatomy.block(layer)) for layer in replacements]
    before = [block.__dict__.get("forward") for block in blocks]
    try:
        for block, function in zip(blocks, replacements.values(), strict=True):
            block.__dict__["forward"] = _as_block(function, returns_tuple=anatomy.blocks_return_tuples)
        yield
    finally:
        for block, forward in zip(blocks, before, strict=True):
            block.__dict__.pop("forward", None)
            if forward is not None:
                block.__dict__["forward"] = forward


@contextmanager
def stopped_after(model: EditableModel, layer: int) -> Iterator[None]:
    """Skip all blocks above ``layer``; the logits are meaningless then."""
    with replaced_blocks(model, {above: unchanged for above in range(layer + 1, model.anatomy.n_layers)}):
        yield


@contextmanager
def captured_input(module: nn.Module) -> Iterator[list[Tensor]]:
    """A list that receives the first positional input of each call of ``module``: B × S × d_in of a down-projection."""
    seen: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def captured_output(module: nn.Module) -> Iterator[list[Tensor]]:
    """A list that receives the output of each call of ``module``, B × S × d_out; of a tuple, its first member."""
    seen: list[Tensor] = []
    handle = module.register_forward_hook(
        lambda _, inputs, output: seen.append(output[0] if isinstance(output, tuple) else output)
    )
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def head_at(model: EditableModel, rows: Tensor, columns: Tensor) -> Iterator[None]:
    """Apply the head at the N positions (rows[i], columns[i]) only; the model then returns logits of shape N × V."""

    def gather(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0][rows, columns], *inputs[1:])

    handle = model.module(model.anatomy.head).register_forward_pre_hook(gather)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def mlp_at(model: EditableModel, layer: int, rows: Tensor, columns: Tensor) -> Iterator[None]:
    """Compute the MLP of block ``layer`` only at the N ≥ 0 positions (rows[i], columns[i]); zero elsewhere.

    Right where nothing reads the block's output at other positions.
    """
    mlp = model.module(f"{model.anatomy.block(layer)}.{model.anatomy.down_projection.rpartition('.')[0]}")
    before = mlp.__dict__.get("forward")
    inner = mlp.forward

    def forward(hidden: Tensor) -> Tensor:
        return torch.zeros_like(hidden).index_put((rows, columns), inner(hidden[rows, columns]))

    mlp.__dict__["forward"] = forward
    try:
        yield
    finally:
        mlp.__dict__.pop("forward")
        if before is not None:
            mlp.__dict__["forward"] = before


@contextmanager
def added_to_output(module: nn.Module, addition: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Replace the output h of ``module``, of a tuple its first member, by ``addition(h)``; both B × S × d_out."""

    def change(_: nn.Module, inputs: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (addition(output[0]), *output[1:])
        return addition(output)

    handle = module.register_forward_hook(change)
    try:
        yield
    finally:
        handle.remove()


def _as_block(function: BlockForward, *, returns_tuple: bool) -> Callable[..., Any]:
    def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        hidden = function(hidden_states)
        return (hidden, None) if returns_tuple else hidden

    return forward
