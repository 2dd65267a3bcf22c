"""From sentences to suffixes: groups, the one pass without δ, masks; and the check that suffixes are right at all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache

from palimpsest.editors.toolkit.keys import outputs_of
from palimpsest.editors.toolkit.tails import Tail
from palimpsest.editors.toolkit.targets.groups import grouped, pass_cost, tokens_together
from palimpsest.editors.toolkit.targets.suffixes import KL, Suffixes, Task
from palimpsest.harness.model.attention_cache import carrying
from palimpsest.harness.model.hooks import captured_output, mlp_at
from palimpsest.harness.model.prompts import Sentence

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel

_TOKENS_PER_PASS = 1024
"""Of the pass without δ: as much as stays in a processor's cache."""


class _Recorded(DynamicCache):  # type: ignore[misc]
    """Keeps each layer's keys and values of one forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[int, tuple[Tensor, Tensor]] = {}

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any) -> Any:
        self.kept[layer_idx] = (key_states, value_states)
        return key_states, value_states


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
    first = [task.first(whole=whole) for task in tasks]
    length = [len(task.ids) - start for task, start in zip(tasks, first, strict=True)]
    anatomy = model.anatomy
    groups = grouped(
        length,
        first,
        most_tokens=tokens_together(anatomy.n_layers - layer, anatomy.d_inner, anatomy.d_hidden),
        cost_of_group=pass_cost(anatomy.d_inner, anatomy.d_hidden),
    )
    parts = [_prepared(model, tasks, group, layer, whole=whole) for group in groups]
    if tail is None:
        return parts
    outputs = outputs_of(model, [Sentence(task.ids, task.lookup) for task in tasks], layer)
    return [replace(part, tail=tail, outputs=outputs[part.numbers]) for part in parts]


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
    start = [task.first(whole=whole) for task in chosen]
    first = torch.tensor(start, device=device)
    length = max(len(task.ids) - begin for task, begin in zip(chosen, start, strict=True))
    positions = first[:, None] + torch.arange(length, device=device)
    present = positions.clamp_max(sentences.shape[1] - 1)  # beyond a sentence's end is padding, which nothing reads
    longest = max(start)
    hidden, prefix = _first_pass(model, [task.ids for task in chosen], present, layer, longest)
    part = Suffixes(
        model=model,
        layer=layer,
        whole=whole,
        numbers=torch.tensor(list(group), device=device),
        request=torch.tensor([task.request for task in chosen], device=device),
        ids=sentences.gather(1, present),
        hidden=hidden,
        positions=present,
        offset=torch.tensor([task.lookup for task in chosen], device=device) - first,
        masks={"filled": filled} if whole else _masks(model, first, positions, longest),
        prefix={} if whole else prefix,
        **_reads(chosen, start, device),
        reference=torch.empty(0, device=device),
    )
    kl = part.read_target == KL
    if not bool(kl.any()):
        return part
    none = torch.zeros(int(part.request.max()) + 1, model.anatomy.d_hidden, device=device)
    return replace(part, reference=torch.log_softmax(part.logits(none)[kl].float(), dim=1))


def _first_pass(
    model: EditableModel, ids: Sequence[Sequence[int]], positions: Tensor, layer: int, longest: int
) -> tuple[Tensor, dict[int, tuple[Tensor, Tensor]]]:
    """Run sentences without δ.

    Returns:
        The output of block ``layer`` at ``positions``, B × T × d_out; and for each layer above, the keys and values
        of the positions before ``longest``, padded with zeros where a sentence is shorter.
    """
    last = model.anatomy.n_layers - 1
    nowhere = torch.empty(0, dtype=torch.long, device=model.device)
    hidden: list[Tensor] = []
    parts: dict[int, list[tuple[Tensor, Tensor]]] = {above: [] for above in range(layer + 1, last + 1)}
    rows = max(1, _TOKENS_PER_PASS // max(len(sentence) for sentence in ids))
    for begin in range(0, len(ids), rows):
        sentences, filled = model.padded(ids[begin : begin + rows])
        recorded = _Recorded()
        with ExitStack() as stack:
            seen = stack.enter_context(captured_output(model.module(model.anatomy.block(layer))))
            if layer < last:  # only the attention of the last block is wanted
                stack.enter_context(mlp_at(model, last, nowhere, nowhere))
            backbone = model.module(model.anatomy.backbone)
            backbone(input_ids=sentences, attention_mask=filled, **carrying(backbone, recorded))
        wanted = positions[begin : begin + rows].clamp_max(sentences.shape[1] - 1)
        hidden.append(seen[0].gather(1, wanted[:, :, None].expand(-1, -1, seen[0].shape[2])))
        for above, kept in parts.items():
            kept.append((_filled_up(recorded.kept[above][0], longest), _filled_up(recorded.kept[above][1], longest)))
    prefix = {
        above: (torch.cat([k for k, _ in kept]), torch.cat([v for _, v in kept])) for above, kept in parts.items()
    }
    return torch.cat(hidden), prefix


def _filled_up(states: Tensor, longest: int) -> Tensor:
    """Keys or values of exactly ``longest`` positions."""
    states = states[:, :, :longest]
    return torch.nn.functional.pad(states, (0, 0, 0, longest - states.shape[2]))


def _reads(chosen: Sequence[Task], start: Sequence[int], device: torch.device) -> dict[str, Any]:
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
