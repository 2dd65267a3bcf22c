"""From sentences to suffixes: groups, the one pass without δ; and the check that suffixes are right at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from palimpsest.editors.toolkit.keys import outputs_of
from palimpsest.editors.toolkit.packing.rows import Packed, Piece, packed, with_past_of
from palimpsest.editors.toolkit.packing.trees import packing_holds
from palimpsest.editors.toolkit.tails import Tail
from palimpsest.editors.toolkit.targets.beginnings import beginnings
from palimpsest.editors.toolkit.targets.groups import grouped, tokens_together
from palimpsest.editors.toolkit.targets.reads import Reads
from palimpsest.editors.toolkit.targets.suffixes import Row, Suffixes, joined
from palimpsest.harness.model.hooks import captured_output
from palimpsest.harness.model.prompts import Sentence

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel

KL = -1
"""In place of a target token: compare the whole distribution with that of the first pass."""


@dataclass(frozen=True, slots=True)
class Task:
    """One sentence of one request."""

    request: int
    ids: tuple[int, ...]
    lookup: int
    """Position at which δ is added."""
    reads: tuple[int, ...]
    """Positions whose next-token distribution enters the loss."""
    targets: tuple[int, ...]
    """Token wanted at each of ``reads``, or `KL`."""
    weight: float
    """Share of the request's loss, spread evenly over ``reads``."""

    def first(self, *, whole: bool) -> int:
        """Position at which the suffix begins; at the start of the sentence if it is to be computed whole."""
        return 0 if whole else min(self.lookup, self.reads[0])


def split(
    model: EditableModel, tasks: Sequence[Task], layer: int, *, whole: bool = False, tail: Tail | None = None
) -> list[Suffixes]:
    """Group sentences by the length of suffix and prefix, and run each group once without δ.

    Args:
        model: As it is now.
        tasks: The sentences.
        layer: L*, at whose output δ is added.
        whole: Compute whole sentences; see `suffixes_hold`.
        tail: What δ goes through, if it is added to the MLP's output of that block.
    """
    whole = whole or not packing_holds(model)
    first = [task.first(whole=whole) for task in tasks]
    length = [len(task.ids) - start for task, start in zip(tasks, first, strict=True)]
    prepare = _whole if whole else _cut
    groups = grouped(length, first, most_tokens=most_tokens(model, layer), padded=whole)
    parts = [prepare(model, tasks, group, layer) for group in groups]
    if tail is None:
        return parts
    outputs = outputs_of(model, [Sentence(task.ids, task.lookup) for task in tasks], layer)
    return [replace(part, tail=tail, outputs=outputs[[row.number for row in part.rows]]) for part in parts]


def most_tokens(model: EditableModel, layer: int) -> int:
    """Tokens that a group may have."""
    anatomy = model.anatomy
    return tokens_together(anatomy.n_layers - layer, anatomy.d_inner, anatomy.d_hidden)


def remaining(parts: Sequence[Suffixes], active: Sequence[bool]) -> list[Suffixes]:
    """Groups without the requests that have left; small ones are joined to neighbours."""
    kept: list[list[Suffixes]] = []
    for part in parts:
        left = part.kept(active)
        if left is None:
            continue
        most = 0 if left.filled is not None else most_tokens(left.model, left.layer)
        if kept and sum(other.tokens for other in kept[-1]) + left.tokens <= most:
            kept[-1].append(left)
        else:
            kept.append([left])
    return [joined(together) for together in kept]


@torch.no_grad()
def suffixes_hold(model: EditableModel, layer: int) -> bool:
    """True if this model gives the same logits from suffixes as from whole sentences."""
    if not packing_holds(model):
        return False
    vocabulary = int(model.model.get_input_embeddings().weight.shape[0])
    lengths = ((9, 4), (7, 5), (4, 2))
    tasks = []
    for number, (size, lookup) in enumerate(lengths):
        ids = tuple((37 * number * (i > 1) + 11 * i + 5) % vocabulary for i in range(size))
        tasks.append(Task(number, ids, lookup, (size - 1,), (0,), 1.0))
    delta = torch.linspace(-1.0, 1.0, len(tasks) * model.anatomy.d_hidden, device=model.device).view(len(tasks), -1)
    results = []
    for whole in (True, False):
        rows: dict[int, Tensor] = {}
        try:
            for part in split(model, tasks, layer, whole=whole):
                logits = part.logits(delta).float()
                rows |= dict(zip(part.reads.request.tolist(), logits, strict=True))
        except (TypeError, ValueError, RuntimeError, AttributeError, KeyError):
            if whole:
                raise
            return False
        results.append(torch.stack([rows[number] for number in range(len(tasks))]))
    scale = float(results[0].std())
    tolerance = 1e-3 if next(model.model.parameters()).dtype == torch.float32 else 0.1
    return bool((results[0] - results[1]).abs().max() <= tolerance * scale)


@torch.no_grad()
def _cut(model: EditableModel, tasks: Sequence[Task], group: Sequence[int], layer: int) -> Suffixes:
    """A group of suffixes; their prefixes run once, and what several sentences begin with once for all of these."""
    chosen = [tasks[i] for i in group]
    starts = [task.first(whole=False) for task in chosen]
    begin = beginnings(model, [task.ids for task in chosen], starts, layer)
    pieces = [Piece(task.ids[len(past) :], past) for task, past in zip(chosen, begin.past, strict=True)]
    row = packed(model, pieces)
    rows = tuple(
        Row(number, task.request, len(task.ids) - start, task.lookup - start)
        for number, task, start in zip(group, chosen, starts, strict=True)
    )
    segments = tuple(with_past_of(segment, begin.stored) for segment in row.segments)
    part = _with_reads(model, layer, chosen, starts, rows, replace(row, segments=segments), begin.hidden)
    return replace(part, lean=begin.lean)


@torch.no_grad()
def _whole(model: EditableModel, tasks: Sequence[Task], group: Sequence[int], layer: int) -> Suffixes:
    """A group of whole sentences, padded."""
    chosen = [tasks[i] for i in group]
    ids, filled = model.padded([task.ids for task in chosen])
    with captured_output(model.module(model.anatomy.block(layer))) as seen:
        model.module(model.anatomy.backbone)(input_ids=ids, attention_mask=filled, use_cache=False)
    rows = tuple(
        Row(number, task.request, ids.shape[1], task.lookup) for number, task in zip(group, chosen, strict=True)
    )
    row = Packed(ids.flatten(), torch.empty_like(ids).flatten(), ())
    part = _with_reads(model, layer, chosen, [0] * len(chosen), rows, row, seen[0].flatten(0, 1))
    return replace(part, filled=filled)


def _with_reads(
    model: EditableModel,
    layer: int,
    chosen: Sequence[Task],
    starts: Sequence[int],
    rows: tuple[Row, ...],
    row: Packed,
    hidden: Tensor,
) -> Suffixes:
    wanted: list[tuple[int, int, int, int, float]] = []
    others: list[tuple[int, int, int, int, float]] = []
    begins = []
    begin = 0
    for number, (task, start) in enumerate(zip(chosen, starts, strict=True)):
        begins.append(begin)
        for read, target in zip(task.reads, task.targets, strict=True):
            found = (begin + read - start, number, task.request, target, task.weight / len(task.reads))
            (others if target == KL else wanted).append(found)
        begin += rows[number].length
    places, in_row, requests, targets, weights = zip(*wanted, *others, strict=True)
    device = model.device
    reads = Reads(
        torch.tensor(places, device=device),
        torch.tensor(in_row, device=device),
        torch.tensor(requests, device=device),
        torch.tensor(targets[: len(wanted)], dtype=torch.long, device=device),
        torch.tensor(weights, device=device),
    )
    return Suffixes(
        model=model,
        layer=layer,
        rows=rows,
        row=row,
        hidden=hidden,
        reads=reads,
        request=torch.tensor([task.request for task in chosen], device=device),
        lookup=torch.tensor([b + one.lookup for b, one in zip(begins, rows, strict=True)], device=device),
    )
