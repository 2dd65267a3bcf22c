"""Sentences cut down to what a change at one position can reach.

A vector δ added to the output of block L* at the subject's last token changes nothing in blocks ≤ L*, and above them
nothing before that token. So blocks ≤ L* run once; above, the keys and values of earlier positions are kept and only
the suffix from the subject's last token on is computed; the head is applied where a loss is read. The upper blocks
are run by the model itself, with the lower ones replaced by the stored residual stream, so this holds for every
architecture; where a first comparison shows that it does not, whole sentences are computed in place of suffixes
(`splitting` makes the comparison, and the suffixes).
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache

from palimpsest.editors.toolkit.tails import Tail
from palimpsest.harness.model.attention_cache import carrying
from palimpsest.harness.model.hooks import added_to_output, head_at, mlp_at, replaced_blocks, unchanged

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
    """Where δ is added."""
    reads: tuple[int, ...]
    """Positions whose next-token distribution enters the loss."""
    targets: tuple[int, ...]
    """Token wanted at each of ``reads``, or `KL`."""
    weight: float
    """Share of the request's loss, spread evenly over ``reads``."""

    def first(self, *, whole: bool) -> int:
        """Where the suffix begins; at the start of the sentence if it is to be computed whole."""
        return 0 if whole else min(self.lookup, self.reads[0])


class _Prefix(DynamicCache):  # type: ignore[misc]
    """Puts stored keys and values before the present ones, and stores nothing."""

    def __init__(self, stored: dict[int, tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.stored = stored

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any) -> Any:
        if layer_idx not in self.stored:
            return key_states, value_states
        keys, values = self.stored[layer_idx]
        return torch.cat([keys, key_states], dim=-2), torch.cat([values, value_states], dim=-2)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return next(iter(self.stored.values()))[0].shape[-2] if self.stored else 0


@dataclass(frozen=True, slots=True)
class Suffixes:
    """A group of sentences that are run together: B rows, suffixes padded to T, prefixes to P."""

    model: EditableModel
    layer: int
    whole: bool
    """Whether suffixes are whole sentences and all blocks run: the slow way that is right for any architecture."""
    numbers: Tensor
    """B: number of each row's sentence in the list that was split."""
    request: Tensor
    """B: the request it belongs to."""
    ids: Tensor
    """B × T tokens of the suffix."""
    hidden: Tensor
    """B × T × d_out: output of block ``layer`` without δ."""
    positions: Tensor
    """B × T."""
    offset: Tensor
    """B: column at which δ is added."""
    masks: dict[str, Tensor]
    """By kind of attention, B × 1 × T × (P + T), added to the scores; of whole sentences, B × T filled positions."""
    prefix: dict[int, tuple[Tensor, Tensor]]
    """Layer above ``layer`` → keys and values of the prefix, B × heads × P × d."""
    read_row: Tensor
    """N: the reads, as row and column, with the token wanted and the weight."""
    read_column: Tensor
    read_target: Tensor
    read_weight: Tensor
    reference: Tensor
    """Log-distributions without δ at the reads that want `KL`, in order."""
    tail: Tail | None = None
    """What δ goes through to the stream; None: nothing."""
    outputs: Tensor | None = None
    """B × d_out: the MLP's output at the lookup position, to which δ is added before the tail."""

    def starts(self) -> dict[int, Tensor]:
        """Sentence number → output of block ``layer`` at the lookup position, without δ."""
        rows = torch.arange(len(self.numbers), device=self.hidden.device)
        return dict(zip(self.numbers.tolist(), self.hidden[rows, self.offset].float(), strict=True))

    def lookup_outputs(self) -> dict[int, Tensor]:
        """Sentence number → output of the MLP at the lookup position, without δ; empty without a tail."""
        if self.outputs is None:
            return {}
        return dict(zip(self.numbers.tolist(), self.outputs.float(), strict=True))

    def losses(self, delta: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted NLL and KL of each request, n × 2, from this group's rows; and the weighted terms of each read."""
        log_p = torch.log_softmax(self.logits(delta).float(), dim=1)  # N × V
        kl = self.read_target == KL
        values = -log_p.gather(1, self.read_target.clamp_min(0)[:, None]).squeeze(1)
        if len(self.reference):
            present = log_p[kl]
            divergence = (present.exp() * (present - self.reference)).sum(1)  # KL( p_δ ‖ p_0 )
            values = values.masked_scatter(kl, divergence)
        where = self.request[self.read_row] * 2 + kl
        weighted = values * self.read_weight
        total = log_p.new_zeros(2 * len(delta)).index_add(0, where, weighted)
        return total.view(-1, 2), weighted.detach()

    def probability(self, weighted: Tensor, requests: int) -> Tensor:
        """Probability of each request's target, n, averaged over its sentences by their weight.

        That of a sentence is the one of its tokens on average: exp of minus their mean NLL.

        Args:
            weighted: The terms of each read, as `losses` gives them.
            requests: n.
        """
        rows, kl = len(self.request), self.read_target == KL
        nll, weight = (x.new_zeros(rows).index_add(0, self.read_row[~kl], x[~kl]) for x in (weighted, self.read_weight))
        probability = torch.where(weight > 0, weight * torch.exp(-nll / weight.clamp_min(1e-30)), 0.0)
        return weighted.new_zeros(requests).index_add(0, self.request, probability)

    def logits(self, delta: Tensor) -> Tensor:
        """N × V: next-token logits at the reads, with δ added."""
        rows = torch.arange(len(self.ids), device=delta.device)
        change = delta[self.request]
        if self.tail is not None and self.outputs is not None:
            change = self.tail.moved(self.outputs, change)
        change = change.to(self.hidden.dtype)

        def changed(hidden: Tensor) -> Tensor:
            return hidden.index_put((rows, self.offset), change, accumulate=True)

        with ExitStack() as stack:
            stack.enter_context(head_at(self.model, self.read_row, self.read_column))
            mask: Any = next(iter(self.masks.values())) if len(self.masks) == 1 else self.masks
            arguments = {"input_ids": self.ids, "attention_mask": mask}
            if self.whole:
                block = self.model.module(self.model.anatomy.block(self.layer))
                stack.enter_context(added_to_output(block, changed))
                arguments |= {"use_cache": False}
            else:
                lower: dict[int, Any] = dict.fromkeys(range(self.layer), unchanged)
                lower[self.layer] = lambda _: changed(self.hidden)
                stack.enter_context(replaced_blocks(self.model, lower))
                last = self.model.anatomy.n_layers - 1
                if self.layer < last:  # of the last block only the reads go on to the head
                    stack.enter_context(mlp_at(self.model, last, self.read_row, self.read_column))
                arguments |= {"position_ids": self.positions, **carrying(self.model.model, _Prefix(self.prefix))}
            logits: Tensor = self.model.model(**arguments).logits
        return logits

    def kept(self, active: Tensor) -> Suffixes | None:
        """Only the rows of active requests; None if there are none."""
        row_stays = active[self.request]
        if bool(row_stays.all()):
            return self
        if not bool(row_stays.any()):
            return None
        read_stays = row_stays[self.read_row]
        new_row = row_stays.long().cumsum(0) - 1
        return replace(
            self,
            **{
                name: getattr(self, name)[row_stays]
                for name in ("numbers", "request", "ids", "hidden", "positions", "offset")
            },
            masks={kind: mask[row_stays] for kind, mask in self.masks.items()},
            prefix={layer: (k[row_stays], v[row_stays]) for layer, (k, v) in self.prefix.items()},
            read_row=new_row[self.read_row[read_stays]],
            **{name: getattr(self, name)[read_stays] for name in ("read_column", "read_target", "read_weight")},
            reference=self.reference[read_stays[self.read_target == KL]],
            outputs=None if self.outputs is None else self.outputs[row_stays],
        )
