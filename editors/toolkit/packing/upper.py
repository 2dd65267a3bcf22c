"""The upper part of a model on a packed row: from the residual stream above one of its blocks to logits.

Blocks that can run in few operations (`lean`) do so. Whether a model's can is seen from their modules and then tried:
logits and gradients are compared with the model's own, once per model. Others, and blocks with hooks on their parts,
run as they are.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from palimpsest.editors.toolkit.packing.lean import Lean
from palimpsest.editors.toolkit.packing.rows import Packed, Piece, attending, packed
from palimpsest.editors.toolkit.packing.trees import packing_holds
from palimpsest.harness.model.hooks import BlockForward, head_at, mlp_at, replaced_blocks, unchanged

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel

_PARTS = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
_OF_ATTENTION = {"q_proj", "k_proj", "v_proj", "o_proj"}
_OF_MLP = {"gate_proj", "up_proj", "down_proj", "act_fn"}

_HOLDS: WeakKeyDictionary[EditableModel, bool] = WeakKeyDictionary()


def logits_above(
    model: EditableModel, short: Lean | None, stream: Tensor, row: Packed, layer: int, read: Tensor
) -> Tensor:
    """Next-token logits at the places that are read, M × V; differentiable in ``stream``.

    Args:
        model: Takes packed rows.
        short: Its lean form, if it has one.
        stream: N × d_out: output of block ``layer``.
        row: The N tokens.
        layer: Blocks above it are run.
        read: M places, distinct.
    """
    if short is not None:
        return short.logits(stream, row, layer + 1, read)
    lower: dict[int, BlockForward] = dict.fromkeys(range(layer), unchanged)
    lower[layer] = lambda _: stream[None]
    first = torch.zeros_like(read)
    last = model.anatomy.n_layers - 1
    with ExitStack() as stack:
        stack.enter_context(attending(model, row.segments))
        stack.enter_context(replaced_blocks(model, lower))
        stack.enter_context(head_at(model, first, read))
        if layer < last:  # of the last block only the reads go on to the head
            stack.enter_context(mlp_at(model, last, first, read))
        logits: Tensor = model.model(**row.arguments()).logits
    return logits


def settle(model: EditableModel) -> None:
    """Try now, on the pristine model, in which form passes may run.

    Editors call it while they prepare. Else the first batch would be the trial, and a run that is taken up again, whose
    first batch is another one, could decide otherwise and give other bits.
    """
    if packing_holds(model):
        lean_form(model)


def lean_form(model: EditableModel) -> Lean | None:
    """The lean form of a model that takes packed rows, if its blocks allow it and no hook would be passed over."""
    blocks = [model.module(model.anatomy.block(layer)) for layer in range(model.anatomy.n_layers)]
    if not all(_is_llama_like(block) and _is_untouched(block) for block in blocks):
        return None
    if model not in _HOLDS:
        pairs = _tried(model)
        if not all(bool(torch.isfinite(expected).all()) for expected, _ in pairs):
            return None  # says nothing; the model is tried again when it is asked for the next time
        tolerance = 1e-3 if next(model.model.parameters()).dtype == torch.float32 else 0.1
        _HOLDS[model] = all(
            bool((expected - found).abs().max() <= tolerance * expected.std()) for expected, found in pairs
        )
    return Lean(model) if _HOLDS[model] else None


def _is_llama_like(block: nn.Module) -> bool:
    parts = dict(block.named_children())
    if set(parts) != _PARTS:
        return False
    attention, mlp = (dict(parts[name].named_children()) for name in ("self_attn", "mlp"))
    if set(attention) != _OF_ATTENTION or set(mlp) != _OF_MLP:
        return False
    plain = all(type(module) is nn.Linear for name, module in (attention | mlp).items() if name != "act_fn")
    norms = all(hasattr(parts[name], "variance_epsilon") for name in ("input_layernorm", "post_attention_layernorm"))
    return plain and norms and type(mlp["act_fn"]).__name__ in ("SiLU", "SiLUActivation")


def _is_untouched(block: nn.Module) -> bool:
    """No part of the block has a hook or another forward pass than its class."""
    return not any(
        module._forward_hooks or module._forward_pre_hooks or "forward" in module.__dict__ for module in block.modules()
    )


def _tried(model: EditableModel) -> list[tuple[Tensor, Tensor]]:
    """A few logits, and slopes of the stream that they come from: each by the model itself and in lean form."""
    rows = int(model.model.get_input_embeddings().weight.shape[0])
    tokens = [tuple((37 * n + 7 * i + 5) % rows for i in range(5)) for n in range(3)]
    row = packed(model, [Piece(tokens[0]), Piece(tokens[1]), Piece(tokens[2], (0, 1, 2))])
    read = torch.tensor([2, 4, 9, 13], device=model.device)
    results = []
    for short in (None, Lean(model)):
        with torch.enable_grad():
            stream = model.model.get_input_embeddings()(row.ids).detach().requires_grad_(True)
            logits = logits_above(model, short, stream, row, 0, read).float()
            (slope,) = torch.autograd.grad(logits.log_softmax(1)[:, 0].sum(), stream)
        results.append((logits.detach(), slope.float()))
    return list(zip(*results, strict=True))
