"""Sentences cut down to what a change at one position can reach.

A vector δ added to the output of block L* at the subject's last token changes nothing in blocks ≤ L*, and above them
nothing before that token. So blocks ≤ L* run once; above, the keys and values of earlier positions are kept and only
the suffix from the subject's last token on is computed; the head is applied where a loss is read. The upper blocks
are run by the model itself, with the lower ones replaced by the stored residual stream, so this holds for every
architecture; where a first comparison shows that it does not, whole sentences are computed in place of suffixes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache

from palimpsest.harness.hooks import added_to_output, captured_output, head_at, mlp_at, replaced_blocks, unchanged

if TYPE_CHECKING:
    from palimpsest.harness.model import EditableModel

KL = -1
"""In place of a target token: compare the whole distribution with that of the first pass."""

_TOKENS_TOGETHER = 512
_ROWS_TOGETHER = 256


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


class _Recorded(DynamicCache):  # type: ignore[misc]
    """Keeps each layer's keys and values of one forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[int, tuple[Tensor, Tensor]] = {}

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any) -> Any:
        self.kept[layer_idx] = (key_states, value_states)
        return key_states, value_states


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

    def starts(self) -> dict[int, Tensor]:
        """Sentence number → output of block ``layer`` at the lookup position, without δ."""
        rows = torch.arange(len(self.numbers), device=self.hidden.device)
        return dict(zip(self.numbers.tolist(), self.hidden[rows, self.offset].float(), strict=True))

    def losses(self, delta: Tensor) -> Tensor:
        """Weighted NLL and KL of each request, n × 2, from this group's rows."""
        log_p = torch.log_softmax(self.logits(delta).float(), dim=1)  # N × V
        kl = self.read_target == KL
        values = log_p.new_zeros(len(log_p))
        values[~kl] = -log_p[~kl].gather(1, self.read_target[~kl][:, None]).squeeze(1)
        if len(self.reference):
            values[kl] = (log_p[kl].exp() * (log_p[kl] - self.reference)).sum(1)  # KL( p_δ ‖ p_0 )
        where = self.request[self.read_row] * 2 + kl
        total = log_p.new_zeros(2 * len(delta)).index_add(0, where, values * self.read_weight)
        return total.view(-1, 2)

    def logits(self, delta: Tensor) -> Tensor:
        """N × V: next-token logits at the reads, with δ added."""
        rows = torch.arange(len(self.ids), device=delta.device)
        change = delta[self.request].to(self.hidden.dtype)

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
                arguments |= {
                    "position_ids": self.positions,
                    "past_key_values": _Prefix(self.prefix),
                    "use_cache": True,
                }
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
        )


def split(model: EditableModel, tasks: Sequence[Task], layer: int, *, whole: bool = False) -> list[Suffixes]:
    """Group sentences by the length of suffix and prefix, and run each group once without δ.

    Args:
        model: As it is now.
        tasks: The sentences.
        layer: L*, at whose output δ is added.
        whole: Compute whole sentences; see `suffixes_hold`.
    """
    first = [task.first(whole=whole) for task in tasks]
    length = [len(task.ids) - start for task, start in zip(tasks, first, strict=True)]
    groups: list[list[int]] = []
    for index in sorted(range(len(tasks)), key=lambda i: (length[i], first[i])):
        group = groups[-1] if groups else []
        if (
            not group
            or length[group[0]] != length[index]
            or len(group) >= _ROWS_TOGETHER
            or (len(group) + 1) * length[index] > _TOKENS_TOGETHER
        ):
            groups.append([])
        groups[-1].append(index)
    return [_prepared(model, tasks, group, layer, whole=whole) for group in groups]


@torch.no_grad()
def suffixes_hold(model: EditableModel, layer: int) -> bool:
    """Whether this model gives the same logits from suffixes as from whole sentences."""
    vocabulary = int(model.model.get_input_embeddings().weight.shape[0])
    lengths = ((9, 4), (7, 5), (4, 2))
    tasks = []
    for number, (size, lookup) in enumerate(lengths):
        ids = tuple((37 * number + 11 * i + 5) % vocabulary for i in range(size))
        tasks.append(Task(number, ids, lookup, (size - 1,), (0,), 1.0))
    delta = torch.linspace(-1.0, 1.0, len(tasks) * model.anatomy.d_hidden, device=model.device).view(len(tasks), -1)
    results = []
    for whole in (True, False):
        logits = torch.empty(0)
        rows: dict[int, Tensor] = {}
        try:
            for part in split(model, tasks, layer, whole=whole):
                logits = part.logits(delta).float()
                rows |= dict(zip(part.request[part.read_row].tolist(), logits, strict=True))
        except (TypeError, ValueError, RuntimeError, AttributeError, KeyError):
            if whole:
                raise
            return False
        results.append(torch.stack([rows[number] for number in range(len(tasks))]))
    scale = float(results[0].std())
    tolerance = 1e-3 if next(model.model.parameters()).dtype == torch.float32 else 0.1
    return bool((results[0] - results[1]).abs().max() <= tolerance * scale)


@torch.no_grad()
def _prepared(
    model: EditableModel, tasks: Sequence[Task], group: Sequence[int], layer: int, *, whole: bool
) -> Suffixes:
    chosen = [tasks[i] for i in group]
    device = model.device
    sentences, filled = model.padded([task.ids for task in chosen])
    recorded = _Recorded()
    with captured_output(model.module(model.anatomy.block(layer))) as seen:
        model.module(model.anatomy.backbone)(
            input_ids=sentences, attention_mask=filled, past_key_values=recorded, use_cache=True
        )
    start = [task.first(whole=whole) for task in chosen]
    first = torch.tensor(start, device=device)
    length = max(len(task.ids) - begin for task, begin in zip(chosen, start, strict=True))
    positions = first[:, None] + torch.arange(length, device=device)
    longest = max(start)
    part = Suffixes(
        model=model,
        layer=layer,
        whole=whole,
        numbers=torch.tensor(list(group), device=device),
        request=torch.tensor([task.request for task in chosen], device=device),
        ids=sentences.gather(1, positions),
        hidden=seen[0].gather(1, positions[:, :, None].expand(-1, -1, seen[0].shape[2])),
        positions=positions,
        offset=torch.tensor([task.lookup for task in chosen], device=device) - first,
        masks={"filled": filled} if whole else _masks(model, first, positions, longest),
        prefix={
            above: (k[:, :, :longest].contiguous(), v[:, :, :longest].contiguous())
            for above, (k, v) in recorded.kept.items()
            if above > layer and not whole
        },
        **_reads(chosen, start, device),
        reference=torch.empty(0, device=device),
    )
    kl = part.read_target == KL
    if not bool(kl.any()):
        return part
    none = torch.zeros(int(part.request.max()) + 1, model.anatomy.d_hidden, device=device)
    return replace(part, reference=torch.log_softmax(part.logits(none)[kl].float(), dim=1))


def _reads(chosen: Sequence[Task], start: Sequence[int], device: torch.device) -> dict[str, Tensor]:
    reads = [
        (row, read - begin, wanted, task.weight / len(task.reads))
        for row, (task, begin) in enumerate(zip(chosen, start, strict=True))
        for read, wanted in zip(task.reads, task.targets, strict=True)
    ]
    names = ("read_row", "read_column", "read_target", "read_weight")
    return {
        name: torch.tensor(column, device=device) for name, column in zip(names, zip(*reads, strict=True), strict=True)
    }


def _masks(model: EditableModel, first: Tensor, positions: Tensor, longest: int) -> dict[str, Tensor]:
    """Who may attend to whom: slots are the prefix padded to ``longest``, then the suffix."""
    config = model.model.config.get_text_config()
    prefix = torch.arange(longest, device=positions.device).expand(len(positions), longest)
    slots = torch.cat([prefix, positions], dim=1)
    filled = torch.cat([prefix < first[:, None], torch.ones_like(positions, dtype=torch.bool)], dim=1)
    distance = positions[:, :, None] - slots[:, None, :]
    allowed = filled[:, None, :] & (distance >= 0)
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None) or ["sliding_attention" if window else "full_attention"]
    dtype = next(model.model.parameters()).dtype
    masks = {}
    for kind in sorted(set(kinds)):
        seen = allowed & (distance < window) if kind == "sliding_attention" and window else allowed
        hidden = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
        masks[kind] = hidden.masked_fill(~seen, torch.finfo(dtype).min)[:, None]
    return masks
