"""Sentences cut down to what a change at one position can reach.

A vector δ added to the output of block L* at the subject's last token changes nothing in blocks ≤ L*, and above them
nothing before that token. So blocks ≤ L* run once; above, the keys and values of earlier positions are kept and only
the suffix from the subject's last token on is computed; the head is applied where a loss is read. The upper blocks
are run by the model itself, with the lower ones replaced by the stored residual stream, so this holds for every
architecture; where a first comparison shows that it does not, whole sentences are computed in place of suffixes
(`splitting` makes the comparison, and the suffixes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from palimpsest.editors.toolkit.packing.attention import Segment
from palimpsest.editors.toolkit.packing.lean import Lean
from palimpsest.editors.toolkit.packing.rows import Packed
from palimpsest.editors.toolkit.packing.upper import logits_above
from palimpsest.editors.toolkit.tails import Tail
from palimpsest.editors.toolkit.targets.reads import Reads
from palimpsest.harness.model.hooks import added_to_output, head_at

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel


@dataclass(frozen=True, slots=True)
class Row:
    """One sentence of a group."""

    number: int
    """Number of the sentence in the list that was split."""
    request: int
    length: int
    """Tokens that are computed."""
    lookup: int
    """The one that δ is added to."""


@dataclass(frozen=True, slots=True)
class Suffixes:
    """A group of R sentences that are run together, N tokens one behind the other."""

    model: EditableModel
    layer: int
    rows: tuple[Row, ...]
    row: Packed
    """The N tokens."""
    hidden: Tensor
    """N × d_out: output of block ``layer`` without δ."""
    reads: Reads
    request: Tensor
    """R."""
    lookup: Tensor
    """R: places at which δ is added."""
    filled: Tensor | None = None
    """For whole sentences, the slow way that is right for any architecture: R × S, which tokens are no padding."""
    tail: Tail | None = None
    """Tail that δ goes through to the stream; None: nothing."""
    lean: Lean | None = None
    """The upper blocks in few operations; None: the model runs them itself."""
    outputs: Tensor | None = None
    """R × d_out: the MLP's output at the lookup position, to which δ is added before the tail."""

    @property
    def tokens(self) -> int:
        """N."""
        return len(self.hidden)

    def starts(self) -> dict[int, Tensor]:
        """Sentence number → output of block ``layer`` at the lookup position, without δ."""
        return {row.number: start for row, start in zip(self.rows, self.hidden[self.lookup].float(), strict=True)}

    def lookup_outputs(self) -> dict[int, Tensor]:
        """Sentence number → output of the MLP at the lookup position, without δ; empty without a tail."""
        if self.outputs is None:
            return {}
        return {row.number: output for row, output in zip(self.rows, self.outputs.float(), strict=True)}

    def losses(self, delta: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted NLL and KL of each request, n × 2, from this group's rows; and the weighted terms of each read."""
        return self.reads.losses(self.logits(delta), len(delta))

    def logits(self, delta: Tensor) -> Tensor:
        """M × V: next-token logits at the reads, with δ added."""
        change = delta[self.request]
        if self.tail is not None and self.outputs is not None:
            change = self.tail.moved(self.outputs, change)
        change = change.to(self.hidden.dtype)
        if self.filled is not None:
            return self._of_whole_sentences(change, self.filled)
        stream = self.hidden.index_add(0, self.lookup, change)
        return logits_above(self.model, self.lean, stream, self.row, self.layer, self.reads.place)

    def _of_whole_sentences(self, change: Tensor, filled: Tensor) -> Tensor:
        block = self.model.module(self.model.anatomy.block(self.layer))
        width = filled.shape[1]

        def changed(hidden: Tensor) -> Tensor:
            return hidden.flatten(0, 1).index_add(0, self.lookup, change).view_as(hidden)

        with (
            head_at(self.model, self.reads.place // width, self.reads.place % width),
            added_to_output(block, changed),
        ):
            logits: Tensor = self.model.model(
                input_ids=self.row.ids.view(filled.shape), attention_mask=filled, use_cache=False
            ).logits
        return logits

    def kept(self, active: Sequence[bool]) -> Suffixes | None:
        """Only the rows of active requests; None if there are none."""
        stays = [active[row.request] for row in self.rows]
        if all(stays):
            return self
        if not any(stays):
            return None
        device = self.hidden.device
        row_stays = torch.tensor(stays, device=device)
        length = torch.tensor([row.length for row in self.rows], device=device)
        token_stays = row_stays.repeat_interleave(length)
        new_row = torch.where(row_stays, row_stays.long().cumsum(0) - 1, -1)
        new_place = token_stays.long().cumsum(0) - 1
        return replace(
            self,
            rows=tuple(row for row, stay in zip(self.rows, stays, strict=True) if stay),
            row=Packed(self.row.ids[token_stays], self.row.positions[token_stays], _kept(self.row.segments, stays)),
            hidden=self.hidden[token_stays],
            reads=self.reads.kept(new_row, new_place),
            request=self.request[row_stays],
            lookup=new_place[self.lookup[row_stays]],
            filled=None if self.filled is None else self.filled[row_stays],
            outputs=None if self.outputs is None else self.outputs[row_stays],
        )


def joined(parts: Sequence[Suffixes]) -> Suffixes:
    """Several groups of suffixes as one."""
    if len(parts) == 1:
        return parts[0]
    tokens = [0, *accumulate(part.tokens for part in parts)]
    rows = [0, *accumulate(len(part.rows) for part in parts)]
    segments = [
        replace(segment, begin=segment.begin + begin)
        for part, begin in zip(parts, tokens, strict=False)
        for segment in part.row.segments
    ]
    return replace(
        parts[0],
        rows=tuple(row for part in parts for row in part.rows),
        row=Packed(
            torch.cat([part.row.ids for part in parts]),
            torch.cat([part.row.positions for part in parts]),
            tuple(segments),
        ),
        hidden=torch.cat([part.hidden for part in parts]),
        reads=Reads.joined(list(zip([part.reads for part in parts], rows, tokens, strict=False))),
        request=torch.cat([part.request for part in parts]),
        outputs=None if parts[0].outputs is None else torch.cat([p.outputs for p in parts if p.outputs is not None]),
        lookup=torch.cat([part.lookup + begin for part, begin in zip(parts, tokens, strict=False)]),
    )


def _kept(segments: Sequence[Segment], stays: Sequence[bool]) -> tuple[Segment, ...]:
    kept = []
    first, begin = 0, 0
    for segment in segments:
        chosen = [row for row in range(segment.rows) if stays[first + row]]
        first += segment.rows
        if chosen:
            kept.append(segment.kept(torch.tensor(chosen, device=segment.past.device), begin))
            begin = kept[-1].end
    return tuple(kept)
