"""Many short texts in few forward passes: common prefixes computed once, the head only where it is read.

All sequences are sorted, so that those with a common beginning are neighbours, and put into packs. A pack is a prefix
tree in one row: each distinct token of the tree once, at the position that it has in its own sequence, seeing itself
and its ancestors only. So the two targets of a prompt share the prompt, prompts share their template or their subject,
and a repeated prompt costs nothing. Models that cannot take such an attention mask get one padded row per sequence.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from os.path import commonprefix
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from palimpsest.harness.model.batches import by_length, padded
from palimpsest.harness.model.editable import EditableModel, is_bare
from palimpsest.harness.model.hooks import mlp_at

PACK_TOKENS = 128
"""Size of a pack: larger packs share more, but pay more for attention."""
_LOGITS_AT_ONCE = 1 << 24


@dataclass(frozen=True, slots=True)
class TargetScores:
    """Scores of each target, one entry per continuation."""

    log_prob: NDArray[np.float64]
    """Mean over the target's tokens of log p(token | context, earlier target tokens), in nats."""
    hits: NDArray[np.int64]
    """Number of the target's tokens that are the model's first choice."""


@dataclass(slots=True)
class _Pack:
    tokens: list[int]
    depth: list[int]
    parent: list[int]
    """Index of the parent within the pack; -1 for a first token."""
    reads: list[tuple[int, int, int]]
    """(index in the pack, token asked for there, number of the continuation)."""


def score_targets(
    model: EditableModel,
    continuations: Sequence[tuple[Sequence[int], Sequence[int]]],
    *,
    token_budget: int | None = None,
) -> TargetScores:
    """Teacher-forced log-probability and first-choice hits of the target of each (context, target).

    Args:
        model: the model; it should be in evaluation mode.
        continuations: pairs of token ids, neither of them empty. The last token of a target is never put in.
        token_budget: about how many tokens one forward pass takes; None: what suits the device.
    """
    count = len(continuations)
    # On a CPU small passes stay in its caches; a GPU wants large ones.
    budget = token_budget or (768 if model.device.type == "cpu" else 16384)
    total, hits = np.zeros(count), np.zeros(count, dtype=np.int64)
    with torch.no_grad():
        shared = _takes_trees(model, continuations)
        packs = make_packs(continuations, PACK_TOKENS if shared else 0)
        for places in by_length([len(pack.tokens) for pack in packs], budget, longest_first=True):
            log_prob, hit, owner = _read_batch(model, [packs[place] for place in places], shared)
            np.add.at(total, owner, log_prob)
            np.add.at(hits, owner, hit)
    lengths = np.array([len(target) for _, target in continuations], dtype=np.float64)
    return TargetScores(total / np.maximum(lengths, 1), hits)


def make_packs(continuations: Sequence[tuple[Sequence[int], Sequence[int]]], size: int) -> list[_Pack]:
    """Prefix trees of about ``size`` tokens over all continuations; with ``size`` 0 one chain per sequence."""
    inputs = [(*context, *target[:-1]) for context, target in continuations]
    packs: list[_Pack] = []
    path: list[int] = []  # indices in the last pack of the tokens of the sequence before
    before: tuple[int, ...] = ()
    for number in sorted(range(len(inputs)), key=inputs.__getitem__):
        sequence = inputs[number]
        common = len(commonprefix((before, sequence)))
        new = len(sequence) - common
        same = not new and common == len(before)
        if not packs or (not same and len(packs[-1].tokens) + new > size):
            packs.append(_Pack([], [], [], []))
            path, common = [], 0
        pack = packs[-1]
        del path[common:]
        for depth in range(common, len(sequence)):
            pack.parent.append(path[-1] if path else -1)
            path.append(len(pack.tokens))
            pack.tokens.append(sequence[depth])
            pack.depth.append(depth)
        context, target = continuations[number]
        first = len(context) - 1
        pack.reads.extend((path[first + step], token, number) for step, token in enumerate(target))
        before = sequence
    return packs


def _read_batch(
    model: EditableModel, batch: list[_Pack], shared: bool
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Log-probability, hit and continuation number of every read in the batch."""
    width = len(batch[0].tokens)
    reads = np.array([(row * width + at, token, n) for row, p in enumerate(batch) for at, token, n in p.reads])
    places, which = np.unique(reads[:, 0], return_inverse=True)
    asked = torch.from_numpy(reads[:, 1]).to(model.device)
    where = torch.from_numpy(which).to(model.device)
    read = torch.from_numpy(places).to(model.device)
    # Nobody asks what the last MLP makes of other places, but an editor's hook may look at them.
    last = model.anatomy.n_layers - 1
    short = mlp_at(model, last, read // width, read % width) if shared and is_bare(model.model) else nullcontext()
    with short:
        outputs = (_tree_hidden if shared else _plain_logits)(model, batch, width)
    rows = outputs.flatten(0, 1)[read]
    head = model.model.get_output_embeddings() if shared else nn.Identity()
    log_prob, hit = _read_rows(rows, head, where, asked)
    return log_prob.double().cpu().numpy(), hit.cpu().numpy().astype(np.int64), reads[:, 2]


def _read_rows(rows: Tensor, head: nn.Module, where: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
    """Apply ``head`` to rows (places, d), in chunks; read token ``asked`` at place ``where``.

    A log-probability that is not finite is never a hit.
    """
    vocabulary = getattr(head, "out_features", rows.shape[-1])
    step = max(1, _LOGITS_AT_ONCE // vocabulary)
    log_prob = torch.empty(len(asked), dtype=torch.float32, device=rows.device)
    top = torch.empty(len(asked), dtype=torch.bool, device=rows.device)
    for start in range(0, len(rows), step):
        logits = head(rows[start : start + step]).float()
        mine = ((where >= start) & (where < start + step)).nonzero().squeeze(1)
        at, token = where[mine] - start, asked[mine]
        log_prob[mine] = logits[at, token] - logits.logsumexp(dim=-1)[at]
        top[mine] = logits.argmax(dim=-1)[at] == token
    return log_prob, top & log_prob.isfinite()


def _tree_hidden(model: EditableModel, batch: list[_Pack], width: int) -> Tensor:
    """Output of the final norm for packs in one forward pass; (packs, width, d)."""
    tokens = np.zeros((len(batch), width), dtype=np.int64)
    depth = np.zeros((len(batch), width), dtype=np.int64)
    seen = np.zeros((len(batch), width, width), dtype=bool)
    for row, pack in enumerate(batch):
        size = len(pack.tokens)
        tokens[row, :size], depth[row, :size] = pack.tokens, pack.depth
        for at, parent in enumerate(pack.parent):
            if parent >= 0:
                seen[row, at] = seen[row, parent]
            seen[row, at, at] = True
        seen[row, range(size, width), range(size, width)] = True  # padding sees itself: no row without any key
    dtype = model.model.get_input_embeddings().weight.dtype
    visible = torch.from_numpy(seen).to(model.device)
    # Additive form: understood by every attention implementation; the lowest finite value, as -inf can make NaN.
    mask = torch.zeros(visible.shape, dtype=dtype, device=model.device).masked_fill_(~visible, torch.finfo(dtype).min)
    hidden: Tensor = model.model.base_model(
        input_ids=torch.from_numpy(tokens).to(model.device),
        attention_mask=mask.unsqueeze(1),
        position_ids=torch.from_numpy(depth).to(model.device),
        use_cache=False,
    )[0]
    return hidden


def _plain_logits(model: EditableModel, batch: list[_Pack], width: int) -> Tensor:
    """Logits for chains, one padded row each, by the model's own forward pass; (rows, width, vocabulary)."""
    tokens, mask = padded([pack.tokens for pack in batch])
    logits: Tensor = model.model(
        input_ids=tokens.to(model.device), attention_mask=mask.to(model.device), use_cache=False
    ).logits
    return logits


def _takes_trees(model: EditableModel, continuations: Sequence[tuple[Sequence[int], Sequence[int]]]) -> bool:
    """True if prefix trees through the backbone give what plain rows through the whole model give: tried, not assumed.

    The trial is a small tree of two branches. A model that gives numbers that are not finite is scored in plain rows.
    """
    backbone: Any = model.model.base_model
    if "position_ids" not in inspect.signature(backbone.forward).parameters or not continuations:
        return False
    # A mask of our own replaces that of sliding windows: right only while no text reaches beyond a window.
    window = getattr(backbone.config, "sliding_window", None)
    if window and max(len(context) + len(target) for context, target in continuations) > window:
        return False
    context, target = min(continuations, key=lambda pair: len(pair[0]))
    stem = tuple(context[:6])
    trial = [((*stem, token), (*branch, token)) for token, branch in ((target[0], stem[::-1]), (stem[-1], stem))]
    tree, chains = make_packs(trial, 1 << 16), make_packs(trial, 0)
    try:
        got, _, got_owner = _read_batch(model, tree, shared=True)
    except (TypeError, ValueError, RuntimeError, IndexError):
        return False
    expected, _, owner = _read_batch(model, sorted(chains, key=lambda pack: -len(pack.tokens)), shared=False)
    got, expected = got[np.lexsort((got, got_owner))], expected[np.lexsort((expected, owner))]
    close = 1e-3 if model.model.get_input_embeddings().weight.dtype == torch.float32 else 0.1
    return bool(np.allclose(got, expected, rtol=close, atol=close))
