"""Logits as a function of one trained down-projection: what training does not change is computed once.

Blocks below the trained one, and in that one all but the product with the weight, give the same in every pass. So keys
k and the block's output y_0 are taken once, a pass begins with y = y_0 + (W − W_0) k, and what sentences have in common
at their beginnings is computed once for all. This holds where the MLP's output is added to the stream as it is, on
models that take packed rows; on others the trained block and those above it run on padded sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from palimpsest.editors.toolkit.packing.rows import Packed
from palimpsest.editors.toolkit.packing.trees import planted
from palimpsest.editors.toolkit.packing.upper import lean_form, logits_above
from palimpsest.editors.toolkit.tails import measured_tail
from palimpsest.harness.errors import ConfigError
from palimpsest.harness.model.hooks import (
    captured_input,
    captured_output,
    head_at,
    replaced_blocks,
    stopped_after,
    unchanged,
)

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel

Logits = Callable[[], Tensor]
"""Logits at the reads, M × V, with the trained parameters as they are at the call; differentiable in them."""


def adds_plainly(model: EditableModel, layer: int) -> bool:
    """True if the output of the layer's MLP is added to the stream as it is."""
    try:
        return measured_tail(model, layer).plain
    except ConfigError:
        return False


def logits_of(
    model: EditableModel,
    layer: int,
    trained: Sequence[Tensor],
    sentences: Sequence[Sequence[int]],
    reads: Sequence[tuple[int, int]],
    *,
    plain: bool,
) -> Logits:
    """Prepare sentences for training.

    Args:
        model: As it is at the start.
        layer: Whose down-projection is trained.
        trained: The model's parameters: its weight and, if that is trained, its bias.
        sentences: Token ids.
        reads: M pairs of a sentence and a position in it.
        plain: See `adds_plainly`.
    """
    tree = planted(model, sentences) if plain else None
    if tree is None or not isinstance(tree.tokens, Packed):
        return _padded(model, layer, sentences, reads)
    row = tree.tokens
    with ExitStack() as stack:
        inputs = stack.enter_context(captured_input(model.module(model.anatomy.down(layer))))
        outputs = stack.enter_context(captured_output(model.module(model.anatomy.block(layer))))
        stack.enter_context(stopped_after(model, layer))
        arguments, _ = stack.enter_context(tree.running())
        model.module(model.anatomy.backbone)(**arguments)
    keys, before = inputs[0].flatten(0, 1), outputs[0].flatten(0, 1)  # N × d_in, N × d_out
    start = [parameter.detach().clone() for parameter in trained]
    places = [tree.places[sentence][position] for sentence, position in reads]
    distinct = {place: number for number, place in enumerate(dict.fromkeys(places))}
    read = torch.tensor(list(distinct), device=model.device)
    which = torch.tensor([distinct[place] for place in places], device=model.device)
    short = lean_form(model)

    def logits() -> Tensor:
        weight, *bias = (now - then for now, then in zip(trained, start, strict=True))
        stream = torch.addmm(before, keys, weight if model.anatomy.transposed else weight.T)
        stream = stream + bias[0] if bias else stream
        return logits_above(model, short, stream, row, layer, read)[which]

    return logits


def _padded(
    model: EditableModel, layer: int, sentences: Sequence[Sequence[int]], reads: Sequence[tuple[int, int]]
) -> Logits:
    """The slow way that is right for any architecture: only the blocks below are not run again."""
    ids, filled = model.padded(sentences)
    rows, columns = (torch.tensor(numbers, device=ids.device) for numbers in zip(*reads, strict=True))
    below: list[Tensor] = []
    if layer > 0:
        with captured_output(model.module(model.anatomy.block(layer - 1))) as below:
            model.module(model.anatomy.backbone)(input_ids=ids, attention_mask=filled, use_cache=False)

    def logits() -> Tensor:
        with ExitStack() as stack:
            stack.enter_context(head_at(model, rows, columns))
            if below:
                lower = dict.fromkeys(range(layer - 1), unchanged)
                stack.enter_context(replaced_blocks(model, lower | {layer - 1: lambda _: below[0]}))
            found: Tensor = model.model(input_ids=ids, attention_mask=filled, use_cache=False).logits
        return found

    return logits
