"""Causal tracing: which part of a model, given back its undisturbed state, brings a disturbed fact back.

Meng, Bau, Andonian, Belinkov 2022, "Locating and Editing Factual Associations in GPT", arXiv 2202.05262, section 2.
The embeddings of the subject's tokens get Gaussian noise, so that the probability of the true object falls from p to
p*. Then one state of the undisturbed pass is put back, and the object has the probability p′: the state's indirect
effect is p′ − p*. States are the output of a block at the subject's last token, the same at the prompt's last token,
and at the subject's last token the outputs of the MLPs, or of the attention, of a window of blocks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from palimpsest.harness.errors import UsageError
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.model.hooks import added_to_output, captured_output, head_at
from palimpsest.harness.model.prompts import sentences
from palimpsest.harness.model.tokens import continuation_ids, prompt_ids
from palimpsest.harness.specs.cases import EditRequest

NOISE = 3.0
"""Standard deviation of the noise, in those of the embeddings of the subjects' tokens (section 2.1)."""
KINDS = ("block", "last", "mlp", "attention")
"""States that are put back: a block's at the subject's and at the prompt's last token, and those of windows."""
_ATTENTION = ("self_attn", "attn", "attention")
_WINDOW = 10 / 48
"""Width of a window as a share of the blocks (section 2.2: ten of GPT-2 XL's)."""
_TOKENS = 4096
"""Tokens of one pass, about."""

Site = tuple[str, int]
"""Kind and block of a state."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Means over facts and draws of noise."""

    facts: int
    draws: int
    window: int
    """Blocks of a window of MLPs or attentions, the block it is named after in its middle."""
    clean: float
    """Probability of the true object's first token."""
    disturbed: float
    """The same with noise."""
    effects: Mapping[str, tuple[float, ...]]
    """Kind → indirect effect by block, from the first."""


@dataclass(frozen=True, slots=True)
class _Fact:
    """One prompt as tokens."""

    ids: tuple[int, ...]
    first: int
    """Place of the subject's first token."""
    last: int
    """Place of its last."""
    target: int
    """First token of the true object."""


def trace(
    model: EditableModel,
    requests: Sequence[EditRequest],
    *,
    draws: int,
    seed: int = 0,
    tell: Callable[[int, int], None] = lambda done, of: None,
) -> Trace:
    """Trace facts that the model knows.

    Args:
        model: The unedited model.
        requests: The facts; their prompts end where the true object begins.
        draws: Draws of noise for each fact.
        seed: Of the noise.
        tell: Receives how many facts are done, of how many.

    Raises:
        UsageError: A subject has no token of its own, or the model has no attention where others have it.
    """
    facts = _facts(model, requests)
    sites = [(kind, block) for kind in KINDS for block in range(model.anatomy.n_layers)]
    window = max(1, round(model.anatomy.n_layers * _WINDOW))
    scale = NOISE * _spread(model, facts)
    generator = torch.Generator().manual_seed(seed)
    clean, disturbed = 0.0, 0.0
    effects = torch.zeros(len(sites), dtype=torch.float64)
    for done, fact in enumerate(facts, 1):
        noise = scale * torch.randn(draws, fact.last + 1 - fact.first, model.anatomy.d_hidden, generator=generator)
        undisturbed, states = _undisturbed(model, fact)
        base = float(_probabilities(model, fact, noise, [], {}, window).mean())
        clean, disturbed = clean + undisturbed, disturbed + base
        each = max(1, _TOKENS // (draws * len(fact.ids)))
        for start in range(0, len(sites), each):
            part = sites[start : start + each]
            found = _probabilities(model, fact, noise, part, states, window)
            effects[start : start + len(part)] += found.reshape(len(part), draws).mean(1) - base
        tell(done, len(facts))
    means = (effects / len(facts)).tolist()
    n = model.anatomy.n_layers
    by_kind = {kind: tuple(means[place * n : (place + 1) * n]) for place, kind in enumerate(KINDS)}
    return Trace(len(facts), draws, window, clean / len(facts), disturbed / len(facts), by_kind)


def _facts(model: EditableModel, requests: Sequence[EditRequest]) -> list[_Fact]:
    read = sentences(model, [(request.prompt, request.subject) for request in requests])
    before = prompt_ids(model.tokenizer, [request.prompt.partition("{}")[0].rstrip() for request in requests])
    targets = continuation_ids(model.tokenizer, [f" {request.target_true}" for request in requests])
    facts = []
    for one, ahead, target in zip(read, before, targets, strict=True):
        first = len(os.path.commonprefix([list(one.ids), list(ahead)]))
        facts.append(_Fact(one.ids, min(first, one.lookup), one.lookup, target[0]))
    return facts


def _spread(model: EditableModel, facts: Sequence[_Fact]) -> float:
    """Standard deviation of the embeddings of all subjects' tokens, over all numbers."""
    ids = torch.tensor([token for fact in facts for token in fact.ids[fact.first : fact.last + 1]])
    weight = model.model.get_input_embeddings().weight
    return float(weight[ids.to(weight.device)].float().std())


def _undisturbed(model: EditableModel, fact: _Fact) -> tuple[float, dict[Site, Tensor]]:
    """The object's probability, and every state that may be put back: d_out each."""
    n = model.anatomy.n_layers
    with ExitStack() as stack:
        seen = {
            (kind, block): stack.enter_context(captured_output(_module(model, kind, block)))
            for kind in ("block", "mlp", "attention")
            for block in range(n)
        }
        probability = float(_forward(model, fact, 1)[0])
    states = {site: outputs[0][0, fact.last] for site, outputs in seen.items()}
    states |= {("last", block): seen["block", block][0][0, -1] for block in range(n)}
    return probability, states


def _probabilities(
    model: EditableModel,
    fact: _Fact,
    noise: Tensor,
    sites: Sequence[Site],
    states: Mapping[Site, Tensor],
    window: int,
) -> Tensor:
    """Probabilities of the object in disturbed passes: sites × draws, or draws where nothing is put back."""
    draws = len(noise)
    rows = max(1, len(sites)) * draws
    spoilt = noise.repeat(max(1, len(sites)), 1, 1)

    def disturb(hidden: Tensor) -> Tensor:
        hidden = hidden.clone()
        hidden[:, fact.first : fact.last + 1] += spoilt.to(hidden)
        return hidden

    with ExitStack() as stack:
        stack.enter_context(added_to_output(model.model.get_input_embeddings(), disturb))
        for place, (kind, block) in enumerate(sites):
            own = slice(place * draws, (place + 1) * draws)
            for one in _blocks_of(kind, block, window, model.anatomy.n_layers):
                at = len(fact.ids) - 1 if kind == "last" else fact.last
                stack.enter_context(_put_back(_module(model, kind, one), own, at, states[kind, one]))
        return _forward(model, fact, rows)


def _blocks_of(kind: str, block: int, window: int, blocks: int) -> range:
    """The blocks whose states are put back together."""
    if kind in ("block", "last"):
        return range(block, block + 1)
    return range(max(0, block - window // 2), min(blocks, block - window // 2 + window))


@contextmanager
def _put_back(module: nn.Module, rows: slice, place: int, state: Tensor) -> Iterator[None]:
    def put(hidden: Tensor) -> Tensor:
        hidden = hidden.clone()
        hidden[rows, place] = state.to(hidden)
        return hidden

    with added_to_output(module, put):
        yield


def _forward(model: EditableModel, fact: _Fact, rows: int) -> Tensor:
    """Probability of the object's first token behind the prompt, once per row."""
    device = model.model.get_input_embeddings().weight.device
    ids = torch.tensor([fact.ids], device=device).repeat(rows, 1)
    at = torch.arange(rows, device=device)
    with torch.inference_mode(), head_at(model, at, torch.full_like(at, ids.shape[1] - 1)):
        logits: Tensor = model.model(input_ids=ids, use_cache=False).logits
    return logits.float().softmax(-1)[:, fact.target].double().cpu()


def _module(model: EditableModel, kind: str, block: int) -> nn.Module:
    """The module whose output is a state of this kind."""
    anatomy = model.anatomy
    whole: Any = model.module(anatomy.block(block))
    if kind in ("block", "last"):
        return whole  # type: ignore[no-any-return]
    if kind == "mlp":
        return model.module(f"{anatomy.block(block)}.{anatomy.down_projection.rpartition('.')[0]}")
    for name in _ATTENTION:
        if isinstance(found := getattr(whole, name, None), nn.Module):
            return found
    raise UsageError(
        f"{model.name} has no attention called {', '.join(_ATTENTION)} in its blocks; it cannot be traced."
    )
