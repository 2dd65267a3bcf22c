"""Causal tracing against a plain trace of one state after another."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from palimpsest.cli.locating import tracing
from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.specs.cases import EditRequest
from palimpsest.tasks.registry import load_task
from tests.labs.run_lab import tiny_model

DRAWS = 3


@pytest.fixture(scope="module")
def model() -> EditableModel:
    return tiny_model()


@pytest.fixture(scope="module")
def requests() -> list[EditRequest]:
    return [case.request for case in load_task("pocket-counterfact").cases[:3]]


def plain_effect(model: EditableModel, request: EditRequest, noise: torch.Tensor, site: tuple[str, int]) -> float:
    """The indirect effect of one state, each draw in a pass of its own; written without the code that is tested."""
    (kind, block), inner = site, model.model.model
    text = request.prompt.format(request.subject)
    head = request.prompt.partition("{}")[0] + request.subject
    ids = model.tokenizer(text, return_tensors="pt")["input_ids"]
    last = len(model.tokenizer(head)["input_ids"]) - 1
    first = last + 1 - noise.shape[1]
    target = model.tokenizer(f" {request.target_true}", add_special_tokens=False)["input_ids"][0]
    at = ids.shape[1] - 1 if kind == "last" else last
    width = max(1, round(len(inner.layers) * 10 / 48)) if kind in ("mlp", "attention") else 1
    start = block - width // 2
    modules = [
        {"mlp": inner.layers[one].mlp, "attention": inner.layers[one].self_attn}.get(kind, inner.layers[one])
        for one in range(max(0, start), min(len(inner.layers), start + width))
    ]
    kept: dict[Any, torch.Tensor] = {}

    def keep(module: Any, _: Any, output: Any) -> None:
        kept[module] = (output[0] if isinstance(output, tuple) else output)[0, at].clone()

    def put(module: Any, _: Any, output: Any) -> Any:
        hidden = (output[0] if isinstance(output, tuple) else output).clone()
        hidden[0, at] = kept[module]
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    def probability() -> float:
        with torch.no_grad():
            return float(model.model(ids).logits[0, -1].softmax(-1)[target])

    hooks = [module.register_forward_hook(keep) for module in modules]
    probability()
    for hook in hooks:
        hook.remove()
    effects = []
    for draw in noise:

        def spoil(_: Any, __: Any, output: torch.Tensor, draw: torch.Tensor = draw) -> torch.Tensor:
            output = output.clone()
            output[0, first : last + 1] += draw
            return output

        hook = model.model.get_input_embeddings().register_forward_hook(spoil)
        before = probability()
        hooks = [module.register_forward_hook(put) for module in modules]
        effects.append(probability() - before)
        for one in (hook, *hooks):
            one.remove()
    return sum(effects) / len(effects)


def test_effects_are_those_of_one_state_after_another(model: EditableModel, requests: list[EditRequest]) -> None:
    traced = tracing.trace(model, requests[:1], draws=DRAWS, seed=5)
    (fact,) = tracing._facts(model, requests[:1])
    scale = tracing.NOISE * tracing._spread(model, [fact])
    generator = torch.Generator().manual_seed(5)
    shape = (DRAWS, fact.last + 1 - fact.first, model.anatomy.d_hidden)
    noise = scale * torch.randn(*shape, generator=generator)
    for kind in tracing.KINDS:
        for block in range(model.anatomy.n_layers):
            plain = plain_effect(model, requests[0], noise, (kind, block))
            assert traced.effects[kind][block] == pytest.approx(plain, abs=1e-6), (kind, block)


def test_giving_back_the_last_block_at_the_end_gives_back_all(
    model: EditableModel, requests: list[EditRequest]
) -> None:
    traced = tracing.trace(model, requests, draws=DRAWS)
    assert traced.effects["last"][-1] == pytest.approx(traced.clean - traced.disturbed, abs=1e-6)


def test_company_and_sizes_of_passes_change_nothing(
    model: EditableModel, requests: list[EditRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tracing.trace(model, requests, draws=DRAWS)
    monkeypatch.setattr(tracing, "_TOKENS", 1)
    pieces = tracing.trace(model, requests, draws=DRAWS)
    for kind in tracing.KINDS:
        assert pieces.effects[kind] == pytest.approx(whole.effects[kind], abs=1e-6)


def test_tracing_leaves_the_model_and_its_hooks_as_they_were(model: EditableModel, requests: list[EditRequest]) -> None:
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    tracing.trace(model, requests[:1], draws=1)
    assert all(torch.equal(value, before[name]) for name, value in model.model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.model.modules())


def test_the_subject_is_found_wherever_it_stands(requests: list[EditRequest]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(resolve("pocket-llama").folder)
    reads: Any = SimpleNamespace(tokenizer=tokenizer)
    for request, fact in zip(requests, tracing._facts(reads, requests), strict=True):
        said = tokenizer.decode(fact.ids[fact.first : fact.last + 1])
        assert said.strip() == request.subject
