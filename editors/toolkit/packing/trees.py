"""Sentences of a batch as a tree of tokens: what several begin with is computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from palimpsest.editors.toolkit.packing.attention import KeysAndValues
from palimpsest.editors.toolkit.packing.rows import Packed, Piece, attending, packed
from palimpsest.harness.model.hooks import captured_output

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel


@dataclass(frozen=True, slots=True)
class Tree:
    """Sentences laid out for one forward pass, packed or, for models that cannot take that, one padded row each."""

    model: EditableModel
    places: list[list[int]]
    """For each sentence the place of each of its tokens among all tokens of the pass."""
    tokens: Packed | tuple[Tensor, Tensor]
    """Packed, or B × S tokens and attention mask."""

    @contextmanager
    def running(self, keep: range | None = None) -> Iterator[tuple[dict[str, Any], dict[int, KeysAndValues]]]:
        """The arguments that the model is called with inside, and the keys and values of the layers ``keep``."""
        if not isinstance(self.tokens, Packed):
            ids, filled = self.tokens
            yield {"input_ids": ids, "attention_mask": filled, "use_cache": False}, {}
            return
        with attending(self.model, self.tokens.segments, keep=keep) as kept:
            yield self.tokens.arguments(), kept


def planted(model: EditableModel, sentences: Sequence[Sequence[int]]) -> Tree:
    """Lay sentences out; models that cannot take them packed get one padded row for each."""
    if packing_holds(model):
        return _packed_tree(model, sentences)
    ids, filled = model.padded(sentences)
    places = [[row * ids.shape[1] + i for i in range(len(tokens))] for row, tokens in enumerate(sentences)]
    return Tree(model, places, (ids, filled))


def _packed_tree(model: EditableModel, sentences: Sequence[Sequence[int]]) -> Tree:
    """Each sentence brings what it does not share with the one before it in alphabetical order."""
    paths: list[list[tuple[int, int]]] = [[] for _ in sentences]  # of each token, the bringer and the position
    brought: dict[int, int] = {}  # bringer → position of the first token that it brings
    before = -1
    for number in sorted(range(len(sentences)), key=lambda i: tuple(sentences[i])):
        shared = _common(sentences[before], sentences[number]) if before >= 0 else 0
        paths[number] = paths[before][:shared] + [(number, i) for i in range(shared, len(sentences[number]))]
        if shared < len(sentences[number]):
            brought[number] = shared
        before = number
    order = sorted(brought, key=lambda i: (len(sentences[i]) - brought[i], brought[i]))
    begins = accumulate((len(sentences[i]) - brought[i] for i in order), initial=0)
    origin = {i: begin - brought[i] for i, begin in zip(order, begins, strict=False)}
    places = [[origin[bringer] + position for bringer, position in path] for path in paths]
    pieces = [Piece(tuple(sentences[i][brought[i] :]), tuple(places[i][: brought[i]])) for i in order]
    return Tree(model, places, packed(model, pieces))


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of what both begin with."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other)))


_HOLDS: WeakKeyDictionary[EditableModel, bool] = WeakKeyDictionary()


def packing_holds(model: EditableModel) -> bool:
    """True if this model gives the same residual stream from packed sentences as from padded ones; tried once.

    Numbers that are not finite say nothing: such a model is tried again when it is asked for the next time.
    """
    if model not in _HOLDS:
        expected, found = _tried(model)
        if found is not None and not bool(torch.isfinite(expected).all()):
            return False
        tolerance = 1e-3 if next(model.model.parameters()).dtype == torch.float32 else 0.1
        close = found is not None and bool((expected - found).abs().max() <= tolerance * float(expected.std()))
        _HOLDS[model] = close
    return _HOLDS[model]


@torch.no_grad()
def _tried(model: EditableModel) -> tuple[Tensor, Tensor | None]:
    """The last norm's output at all tokens of three sentences, padded and packed; None if a packed row is refused."""
    vocabulary = int(model.model.get_input_embeddings().weight.shape[0])
    stem = [(11 * i + 5) % vocabulary for i in range(3)]
    sentences = [[*stem, *[(37 * n + 7 * i + 2) % vocabulary for i in range(size)]] for n, size in enumerate((4, 6, 4))]
    backbone = model.module(model.anatomy.backbone)
    last = model.module(model.anatomy.final_norm)
    ids, filled = model.padded(sentences)
    try:
        with captured_output(last) as seen:
            backbone(input_ids=ids, attention_mask=filled, use_cache=False)
            plain = seen.pop().flatten(0, 1).float()
            tree = _packed_tree(model, sentences)
            with tree.running() as (arguments, _):
                backbone(**arguments)
    except (TypeError, ValueError, RuntimeError, AttributeError, LookupError):
        return plain, None
    expected = torch.cat([plain[row * ids.shape[1] :][: len(s)] for row, s in enumerate(sentences)])
    found = seen[0].flatten(0, 1).float()
    return expected, torch.cat([found[places] for places in tree.places])
