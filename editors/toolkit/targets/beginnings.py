"""The ground of suffixes: the stream under them, and keys and values of the tokens before them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from palimpsest.editors.toolkit.packing.attention import KeysAndValues
from palimpsest.editors.toolkit.packing.lean import Lean
from palimpsest.editors.toolkit.packing.rows import Packed
from palimpsest.editors.toolkit.packing.trees import Tree, planted
from palimpsest.editors.toolkit.packing.upper import lean_form
from palimpsest.harness.model.hooks import captured_output, mlp_at, stopped_after

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel


@dataclass(frozen=True, slots=True)
class Beginnings:
    """The beginnings of sentences that are cut in two."""

    hidden: Tensor
    """N × d_out: output of the block under the suffixes, at all tokens of all suffixes."""
    past: list[tuple[int, ...]]
    """For each sentence, the place of each token before its suffix among those that are stored."""
    stored: Mapping[int, KeysAndValues]
    """Layer above → keys and values, heads × places × d."""
    lean: Lean | None


@torch.no_grad()
def beginnings(
    model: EditableModel, sentences: Sequence[Sequence[int]], starts: Sequence[int], layer: int
) -> Beginnings:
    """Run sentences once; what several of them begin with is computed once.

    Args:
        model: As it is now.
        sentences: Token ids.
        starts: Where each one's suffix begins.
        layer: Highest block under the suffixes.
    """
    tree = planted(model, sentences)
    short = lean_form(model)
    stream, stored = _of_all(model, tree, layer) if short is None else (_under(model, tree, layer), None)
    own = [place for start, places in zip(starts, tree.places, strict=True) for place in places[start:]]
    hidden = stream[torch.tensor(own, device=model.device)]
    pasts = [places[:start] for start, places in zip(starts, tree.places, strict=True)]
    if short is not None:
        pasts, stored = _above(short, model, stream, sentences, pasts, layer)
    return Beginnings(hidden, [tuple(past) for past in pasts], stored or {}, short)


def _of_all(model: EditableModel, tree: Tree, layer: int) -> tuple[Tensor, dict[int, KeysAndValues]]:
    """The stream above block ``layer``, T × d_out, and keys and values of all tokens above it, by the model itself."""
    last = model.anatomy.n_layers - 1
    nowhere = torch.empty(0, dtype=torch.long, device=model.device)
    block = model.module(model.anatomy.block(layer))
    backbone = model.module(model.anatomy.backbone)
    with captured_output(block) as seen, tree.running(keep=range(layer + 1, last + 1)) as (arguments, stored):
        if layer < last:  # only the attention of the last block is wanted
            with mlp_at(model, last, nowhere, nowhere):
                backbone(**arguments)
        else:
            backbone(**arguments)
    return seen[0].flatten(0, 1), stored


def _under(model: EditableModel, tree: Tree, layer: int) -> Tensor:
    """The stream above block ``layer`` alone, T × d_out."""
    block = model.module(model.anatomy.block(layer))
    with captured_output(block) as seen, stopped_after(model, layer), tree.running() as (arguments, _):
        model.module(model.anatomy.backbone)(**arguments)
    return seen[0].flatten(0, 1)


def _above(
    short: Lean,
    model: EditableModel,
    stream: Tensor,
    sentences: Sequence[Sequence[int]],
    pasts: Sequence[Sequence[int]],
    layer: int,
) -> tuple[list[list[int]], dict[int, KeysAndValues]]:
    """Keys and values of the tokens before suffixes alone, and where these are among them."""
    tree = planted(model, [tokens[: len(past)] for tokens, past in zip(sentences, pasts, strict=True)])
    assert isinstance(tree.tokens, Packed)
    under = torch.zeros(len(tree.tokens.ids), dtype=torch.long)
    for places, past in zip(tree.places, pasts, strict=True):
        under[places] = torch.tensor(past, dtype=torch.long)
    row = tree.tokens
    return tree.places, short.keys_and_values(stream[under.to(model.device)], row, layer + 1)
