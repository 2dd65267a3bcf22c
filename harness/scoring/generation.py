"""Continuations of many prompts at once: sampled texts for fluency and consistency, greedy ones to compare with.

Prompts of like length go through the model together, padded on the left, with a key-value cache. Each prompt draws
from random numbers of its own, fixed by seed, case and probe: its text is the same alone and in any company, up to a
tie within rounding, and no other random stream is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from palimpsest.harness.errors import ConfigError
from palimpsest.harness.model.attention_cache import carrying
from palimpsest.harness.model.batches import by_length, filler_of, padded
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.model.tokens import continuation_ids, end_tokens, prompt_ids, until_end
from palimpsest.harness.scoring.isolation import untouched
from palimpsest.harness.specs.cases import Case
from palimpsest.harness.specs.run_spec import Generation

Choice = Callable[[Tensor, int, Sequence[int]], tuple[Tensor, Tensor]]
"""(logits rows × V, step, numbers of the prompts) → the next token of each row, and whether it could be chosen."""


@dataclass(frozen=True, slots=True)
class SampledText:
    """Sampled continuation of one generation prompt of a case."""

    case_id: int
    index: int
    """Index of the probe, among those of kind ``generation``."""
    text: str
    """Behind the prompt."""
    tokens: int
    """Length with the prompt."""
    spelt: str = ""
    """Prompt and continuation with all special tokens, where they are asked for."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """Answer of a model to a neighborhood prompt: as many tokens as the true target has."""

    case_id: int
    index: int
    tokens: tuple[int, ...]
    text: str
    first_choices: tuple[int, ...] = ()
    """First choice at each position of the true target, teacher-forced, where they are asked for."""


def sample_texts(
    model: EditableModel, cases: Sequence[Case], settings: Generation, *, seed: int = 0, token_budget: int | None = None
) -> list[SampledText]:
    """One text for each generation prompt of ``cases``, in their order.

    As in ROME's evaluation, each token is drawn among the ``top_k`` of highest probability, by their probabilities,
    and a text goes on behind an end-of-text token until it has ``tokens`` tokens, its prompt counted. Where the model
    gives numbers that are not finite, the text ends.

    Args:
        model: As it is to be asked.
        cases: Whose generation probes are used.
        settings: Length and number of candidates.
        seed: Of the random numbers of all prompts.
        token_budget: Tokens of all texts of one batch; None: what suits the device.

    Raises:
        ConfigError: A prompt has no tokens.
    """
    probes = [(c.request.case_id, p) for c in cases for p in c.probes if p.kind == "generation"]
    prompts = prompt_ids(model.tokenizer, [probe.prompt for _, probe in probes])
    empty = next((probe.prompt for (_, probe), ids in zip(probes, prompts, strict=True) if not ids), None)
    if empty is not None:
        raise ConfigError(f"Generation prompt {empty!r} has no tokens: nothing can be made of it.")
    length = min(settings.tokens, getattr(model.model.config, "max_position_embeddings", None) or settings.tokens)
    chance = [np.random.default_rng((seed, case_id, probe.index)).random(length) for case_id, probe in probes]

    def choose(logits: Tensor, step: int, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        uniform = torch.tensor([chance[row][step] for row in rows], dtype=torch.float64)
        return among_top(logits, uniform.to(logits.device), settings.top_k)

    wanted = [max(0, length - len(ids)) for ids in prompts]
    found = extend(model, prompts, wanted, choose, token_budget=token_budget)
    decode = model.tokenizer.decode if settings.special_tokens else lambda ids: ""
    return [
        SampledText(
            case_id, probe.index, _said(model.tokenizer, ids, more), len(ids) + len(more), decode([*ids, *more])
        )
        for (case_id, probe), ids, more in zip(probes, prompts, found, strict=True)
    ]


def continuations(
    model: EditableModel, cases: Sequence[Case], *, first_choices: bool = False, token_budget: int | None = None
) -> list[Continuation]:
    """The greedy continuation of each neighborhood prompt of ``cases``, of the length of its true target in tokens.

    With ``first_choices`` also those at the positions of the true target.
    """
    probes = [(c.request.case_id, p) for c in cases for p in c.probes if p.kind == "neighborhood" and p.target_true]
    prompts = [tuple(ids) for ids in prompt_ids(model.tokenizer, [probe.prompt for _, probe in probes])]
    targets = continuation_ids(model.tokenizer, [f" {probe.target_true}" for _, probe in probes])
    asked = [(ids, len(target)) for ids, target in zip(prompts, targets, strict=True)]
    fed = [range(len(target) if first_choices else 0) for target in targets]
    steps = [[((*prompts[i], *targets[i][:at]), 1) for at in places] for i, places in enumerate(fed)]
    distinct = list(dict.fromkeys([*asked, *(step for several in steps for step in several)]))
    found = extend(model, [ids for ids, _ in distinct], [n for _, n in distinct], _greedy, token_budget=token_budget)
    said = {key: tuple(more) for key, more in zip(distinct, found, strict=True)}
    rows = []
    for (case_id, probe), key, several in zip(probes, asked, steps, strict=True):
        first = tuple(token for step in several for token in said[step])
        rows.append(Continuation(case_id, probe.index, said[key], _said(model.tokenizer, key[0], said[key]), first))
    return rows


def among_top(logits: Tensor, uniform: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """One token per row, drawn among the ``top_k`` most probable by their probabilities.

    The candidates are put in the order of their ids, so that rounding which swaps two of them changes nothing.

    Args:
        logits: Rows × V.
        uniform: A number from [0, 1) for each row, float64.
        top_k: Number of candidates; at most V are taken.

    Returns:
        The tokens, and for each row whether its candidates have finite logits.
    """
    values, ids = logits.topk(min(top_k, logits.shape[-1]), dim=-1)
    ids, order = ids.sort(dim=-1)
    cumulative = values.double().softmax(dim=-1).gather(-1, order).cumsum(dim=-1)
    place = (uniform[:, None] * cumulative[:, -1:] >= cumulative).sum(dim=-1, keepdim=True)
    return ids.gather(-1, place.clamp(max=ids.shape[-1] - 1)).squeeze(-1), values.isfinite().all(dim=-1)


def _greedy(logits: Tensor, step: int, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    best = logits.max(dim=-1)
    return best.indices, best.values.isfinite()


def greedy(
    model: EditableModel, prompts: Sequence[Sequence[int]], most: int, *, token_budget: int | None = None
) -> list[list[int]]:
    """The most probable continuation of each prompt, token by token, ended before an end-of-text token.

    Nothing but the largest logit decides: no setting that came with the model (``generation_config.json``) is read.

    Args:
        model: As it is to be asked.
        prompts: Token ids; none of them empty.
        most: Tokens of each continuation, at most.
        token_budget: Tokens of all rows of a batch, prompt and continuation; None: what suits the device.
    """
    ends = end_tokens(model.model, model.tokenizer)
    found = extend(model, prompts, [most] * len(prompts), _greedy, ends=ends, token_budget=token_budget)
    return [until_end(more, ends) for more in found]


def extend(
    model: EditableModel,
    prompts: Sequence[Sequence[int]],
    lengths: Sequence[int],
    choose: Choice,
    *,
    ends: Collection[int] = (),
    token_budget: int | None = None,
) -> list[list[int]]:
    """Tokens that come behind each prompt: ``lengths[i]`` of them, or fewer if none could be chosen.

    Args:
        model: As it is to be asked.
        prompts: Token ids; none of them empty.
        lengths: How many tokens are wanted behind each prompt.
        choose: Picks the next tokens.
        ends: Tokens behind which nothing is wanted; a batch is finished once each of its rows has one.
        token_budget: Tokens of all rows of a batch, prompt and continuation; None: what suits the device.
    """
    budget = token_budget or (8192 if model.device.type == "cpu" else 16384)
    wanted = [i for i in range(len(prompts)) if lengths[i]]
    sizes = [len(prompts[i]) for i in wanted]
    found: list[list[int]] = [[] for _ in prompts]
    with untouched(model):
        for batch in by_length(sizes, budget, behind=[lengths[i] for i in wanted]):
            rows = [wanted[place] for place in batch]
            for row, more in zip(rows, _extend_batch(model, prompts, lengths, rows, choose, ends), strict=True):
                found[row] = more
    return found


def _extend_batch(
    model: EditableModel,
    prompts: Sequence[Sequence[int]],
    lengths: Sequence[int],
    rows: Sequence[int],
    choose: Choice,
    ends: Collection[int],
) -> list[list[int]]:
    ids, mask = padded([prompts[row] for row in rows], filler_of(model.model, model.tokenizer), "left")
    ids, mask = ids.to(model.device), mask.to(model.device)
    places = (mask.cumsum(dim=-1) - 1).clamp(min=0)  # a token has the position that it has without padding
    states = DynamicCache(config=model.model.config)
    final = torch.tensor(sorted(ends), dtype=torch.long, device=model.device)
    ended = torch.zeros(len(rows), dtype=torch.bool, device=model.device)
    chosen: list[Tensor] = []
    good: list[Tensor] = []
    for step in range(max(lengths[row] for row in rows)):
        out: Any = model.model(input_ids=ids, attention_mask=mask, position_ids=places, **carrying(model.model, states))
        tokens, finite = choose(out.logits[:, -1].float(), step, rows)
        chosen.append(tokens)
        good.append(finite)
        if ends:
            ended |= torch.isin(tokens, final) | ~finite
            if bool(ended.all()):
                break
        ids, places = tokens[:, None], places[:, -1:] + 1
        mask = torch.cat([mask, torch.ones_like(ids)], dim=-1)
    alive = torch.stack(good, dim=-1).long().cumprod(dim=-1).sum(dim=-1).tolist()
    table = torch.stack(chosen, dim=-1).tolist()
    return [table[at][: min(lengths[row], alive[at])] for at, row in enumerate(rows)]


def _said(tokenizer: Any, prompt: Sequence[int], more: Sequence[int]) -> str:
    """The text of ``more`` behind a prompt; decoded together, as some tokenizers drop a space at a text's beginning."""
    before: str = tokenizer.decode(list(prompt), skip_special_tokens=True)
    whole: str = tokenizer.decode([*prompt, *more], skip_special_tokens=True)
    if whole.startswith(before):
        return whole[len(before) :]
    alone: str = tokenizer.decode(list(more), skip_special_tokens=True)
    return alone
