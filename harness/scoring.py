"""Asking an edited model: likelihood and first choice of both targets of every probe, and greedy answers to look at.

Scoring never changes the model, its train or eval modes, or any random generator.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from palimpsest.harness.errors import ConfigError
from palimpsest.harness.packing import Scorable, score_targets
from palimpsest.harness.requests import Case, Probe, ProbeKind
from palimpsest.harness.spec import Scoring
from palimpsest.harness.tokens import continuation_ids, prompt_ids

SCORED_KINDS: tuple[ProbeKind, ...] = ("rewrite", "paraphrase", "neighborhood")


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """What the model made of one probe. A target that the probe lacks has NLL NaN, no tokens, and is not exact."""

    case_id: int
    kind: ProbeKind
    index: int
    nll_new: float
    """Mean over the tokens of the new target of -log p(token | prompt, earlier target tokens), in nats."""
    nll_true: float
    tokens_new: int
    tokens_true: int
    hits_new: int
    """Tokens of the new target that are the model's first choice, teacher-forced."""
    hits_true: int
    exact_new: bool
    """Every token of the new target is the model's first choice."""
    exact_true: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says to one prompt of a case: its greedy continuation."""

    case_id: int
    kind: ProbeKind
    index: int
    prompt: str
    text: str


class _Asked(NamedTuple):
    """Place of a target in the list of distinct continuations, and its number of tokens; place -1: no such target."""

    place: int
    tokens: int


def score_cases(model: Scorable, cases: Sequence[Case], *, token_budget: int | None = None) -> list[ProbeOutcome]:
    """Score the rewrite, paraphrase and neighborhood probes of ``cases``, in their order.

    A target is asked as the text ``prompt + " " + target``: the prompt is tokenised with the special tokens that the
    tokenizer puts before a text, the target with its leading space and without any. The same call on the same model
    gives the same bits; the company of other cases may move a result by rounding.

    Args:
        model: the model as it is to be scored.
        cases: their attribute and generation probes are not scored here.
        token_budget: about how many tokens one forward pass takes; None: what suits the device.

    Raises:
        ConfigError: a prompt or target without tokens, or longer than the model can take.
    """
    probes = [(case.request.case_id, probe) for case in cases for probe in case.probes if probe.kind in SCORED_KINDS]
    texts = [target for _, probe in probes for target in (probe.target_new, probe.target_true) if target]
    prompts = _token_ids(model, [probe.prompt for _, probe in probes])
    targets = _token_ids(model, [" " + text for text in texts], targets=True)
    places: dict[tuple[str, str], int] = {}
    continuations: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    def ask(prompt: str, target: str) -> _Asked:
        if not target:
            return _Asked(-1, 0)
        ids = targets[" " + target]
        place = places.setdefault((prompt, target), len(continuations))
        if place == len(continuations):
            continuations.append((prompts[prompt], ids))
        return _Asked(place, len(ids))

    asked = [(ask(p.prompt, p.target_new), ask(p.prompt, p.target_true)) for _, p in probes]
    _check_lengths(model, continuations, list(places))
    with untouched(model):
        scores = score_targets(model, continuations, token_budget=token_budget)
    # One more entry stands for a missing target: place -1.
    nll = [*(-scores.log_prob).tolist(), float("nan")]
    hits = [*scores.hits.tolist(), 0]
    return [
        _outcome(case_id, probe, new, true, nll, hits)
        for (case_id, probe), (new, true) in zip(probes, asked, strict=True)
    ]


def _outcome(
    case_id: int, probe: Probe, new: _Asked, true: _Asked, nll: Sequence[float], hits: Sequence[int]
) -> ProbeOutcome:
    return ProbeOutcome(
        case_id=case_id,
        kind=probe.kind,
        index=probe.index,
        nll_new=nll[new.place],
        nll_true=nll[true.place],
        tokens_new=new.tokens,
        tokens_true=true.tokens,
        hits_new=hits[new.place],
        hits_true=hits[true.place],
        exact_new=0 < new.tokens == hits[new.place],
        exact_true=0 < true.tokens == hits[true.place],
    )


def _token_ids(model: Scorable, texts: Sequence[str], *, targets: bool = False) -> dict[str, tuple[int, ...]]:
    """Distinct text → its token ids; prompts get the special tokens that stand before a text, targets none."""
    distinct = list(dict.fromkeys(texts))
    if not distinct:
        return {}
    rows = (continuation_ids if targets else prompt_ids)(model.tokenizer, distinct)
    ids = {text: tuple(row) for text, row in zip(distinct, rows, strict=True)}
    for text, row in ids.items():
        if not row:
            raise ConfigError(
                f"{'Target' if targets else 'Prompt'} {text!r} has no tokens: nothing can be scored on it."
            )
    return ids


def _check_lengths(
    model: Scorable, continuations: Sequence[tuple[Sequence[int], Sequence[int]]], texts: Sequence[tuple[str, str]]
) -> None:
    longest = getattr(model.model.config, "max_position_embeddings", None)
    for (context, target), (prompt, _) in zip(continuations, texts, strict=True):
        if longest is not None and len(context) + len(target) - 1 > longest:
            raise ConfigError(
                f"Prompt {prompt[:60]!r}… with its target has {len(context) + len(target)} tokens; "
                f"the model takes {longest}."
            )


@contextmanager
def untouched(model: Scorable) -> Iterator[None]:
    """Evaluation mode without gradients; all global random generators and module modes are as before afterwards."""
    python, numeric, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    gpu = torch.cuda.get_rng_state_all() if model.device.type == "cuda" else None
    training = [module for module in model.model.modules() if module.training]
    model.model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True
        random.setstate(python)
        np.random.set_state(numeric)
        torch.set_rng_state(cpu)
        if gpu is not None:
            torch.cuda.set_rng_state_all(gpu)


def sample_answers(
    model: Scorable, cases: Sequence[Case], *, count: int = 12, seed: int = 0, max_new_tokens: int = 8
) -> list[Answer]:
    """Greedy continuations of the rewrite, first paraphrase and first neighborhood prompt of some cases.

    Args:
        model: the model as it is to be looked at.
        cases: where the sample is drawn from; the drawn cases keep their order.
        count: number of cases.
        seed: of the draw; the same seed on the same number of cases draws the same.
        max_new_tokens: length of an answer; it ends earlier where the model ends its text.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(cases))[:count])
    picked = [
        (cases[i].request.case_id, probe)
        for i in chosen.tolist()
        for kind in SCORED_KINDS
        for probe in [p for p in cases[i].probes if p.kind == kind][:1]
    ]
    ids = _token_ids(model, [probe.prompt for _, probe in picked])
    with untouched(model):
        texts = _continue(model, [ids[probe.prompt] for _, probe in picked], max_new_tokens)
    return [
        Answer(case_id, probe.kind, probe.index, probe.prompt, text)
        for (case_id, probe), text in zip(picked, texts, strict=True)
    ]


def _continue(model: Scorable, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[str]:
    """Greedy continuation of all prompts as one batch, padded on the left so that all end together."""
    if not prompts:
        return []
    width = max(map(len, prompts))
    padding = model.tokenizer.pad_token_id or 0
    tokens = torch.full((len(prompts), width), padding, dtype=torch.long)
    mask = torch.zeros_like(tokens)
    for row, prompt in enumerate(prompts):
        tokens[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    from transformers import GenerationConfig

    config = GenerationConfig(
        do_sample=False,
        max_new_tokens=max_new_tokens,
        pad_token_id=padding,
        eos_token_id=model.tokenizer.eos_token_id,
        use_cache=True,
    )
    generate: Any = model.model.generate
    output: Tensor = generate(
        input_ids=tokens.to(model.device), attention_mask=mask.to(model.device), generation_config=config
    )
    texts: list[str] = model.tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)
    return texts


def choose_windows(positions: int, sampling: Scoring, edits_so_far: int) -> dict[str, list[int]]:
    """Which cases of the schedule are scored at a checkpoint, by window, as ascending positions.

    Windows: ``all`` edits so far, their ``first`` and their ``latest`` quarter (at least one case each); before the
    first edit ``planned``, all cases of the schedule. One seeded permutation ranks all positions; the sample of a
    window are its members of best rank, so that samples overlap as much as they can from checkpoint to checkpoint.

    Args:
        positions: number of edits in the whole schedule.
        sampling: size of the sample per window (None: everything) and its seed.
        edits_so_far: edits made when the checkpoint is scored.
    """
    if not 0 <= edits_so_far <= positions:
        raise ValueError(f"{edits_so_far} edits so far do not fit a schedule of {positions}")
    if edits_so_far == 0:
        windows = {"planned": range(positions)}
    else:
        quarter = max(1, edits_so_far // 4)
        windows = {
            "all": range(edits_so_far),
            "first": range(quarter),
            "latest": range(edits_so_far - quarter, edits_so_far),
        }
    rank = np.random.default_rng(sampling.seed).permutation(positions)
    return {name: sorted(sorted(members, key=rank.__getitem__)[: sampling.sample]) for name, members in windows.items()}
