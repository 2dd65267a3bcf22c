from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from palimpsest.harness.errors import ConfigError
from palimpsest.harness.model.hooks import added_to_output
from palimpsest.harness.scoring.generation import among_top, continuations, extend, sample_texts
from palimpsest.harness.specs.cases import Case, EditRequest, Probe
from palimpsest.harness.specs.run_spec import Generation
from tests.labs.tiny_models import ARCHITECTURES, VARIANTS, tiny_model

SETTINGS = Generation(cases=4, tokens=30)


def cases() -> list[Case]:
    """Prompts of very different lengths, one of them twice in a case."""
    result = []
    for i, person in enumerate(["Anna Sorel", "Petr Novak", "Zoë Müller", "Marie Duval"]):
        long = "Therefore it was late. " * i + person
        probes = [Probe("generation", n, text, "", "") for n, text in enumerate([f"{person} is", f"{person} is", long])]
        probes += [Probe("neighborhood", n, f"{long} lives in", "Lyon", "Kraków by the river"[: 6 + n]) for n in (0, 9)]
        probes += [Probe("rewrite", 0, f"{person} lives in", "Lyon", "Brno")]
        result.append(Case(EditRequest(10 + i, "{} lives in", person, "Lyon", "Brno"), tuple(probes)))
    return result


@pytest.mark.parametrize("name", [*ARCHITECTURES, *VARIANTS])
def test_a_text_is_the_same_alone_and_in_a_batch(name: str) -> None:
    architecture, changes = VARIANTS.get(name, (name, {}))
    model = tiny_model(architecture, **changes)
    together = sample_texts(model, cases(), SETTINGS)
    alone = [text for case in cases() for text in sample_texts(model, [case], SETTINGS, token_budget=1)]
    assert together == alone
    assert continuations(model, cases()) == [c for case in cases() for c in continuations(model, [case])]


@pytest.mark.parametrize("bos", [True, False])
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_texts_are_what_the_whole_model_gives_token_by_token(architecture: str, bos: bool) -> None:
    model = tiny_model(architecture, bos=bos)
    found = sample_texts(model, cases()[:2], SETTINGS, seed=5)
    for text in found:
        (probe,) = [p for c in cases() for p in c.probes if (c.request.case_id, p.index) == (text.case_id, text.index)][
            :1
        ]
        ids = model.tokenizer(probe.prompt)["input_ids"]
        begin = len(model.tokenizer.decode(ids, skip_special_tokens=True))
        chance = np.random.default_rng((5, text.case_id, text.index)).random(SETTINGS.tokens)
        for step in range(SETTINGS.tokens - len(ids)):
            with torch.no_grad():
                top = model.model(input_ids=torch.tensor([ids])).logits[0, -1].double().topk(5)
            candidates = sorted(zip(top.indices.tolist(), top.values.softmax(-1).tolist(), strict=True))
            edges = np.cumsum([share for _, share in candidates])
            ids = [*ids, candidates[int(np.searchsorted(edges, chance[step], side="right"))][0]]
        assert text.text == model.tokenizer.decode(ids, skip_special_tokens=True)[begin:]
        assert text.tokens == len(ids) == SETTINGS.tokens


def test_draws_follow_the_probabilities_of_the_candidates() -> None:
    logits = torch.tensor([[0.0, 3.0, -1.0, 2.0, 1.0]]).expand(40_000, 5)
    uniform = torch.from_numpy(np.random.default_rng(0).random(40_000))
    tokens, finite = among_top(logits, uniform, 3)
    shares = np.bincount(tokens.numpy(), minlength=5) / 40_000
    expected = torch.tensor([3.0, 2.0, 1.0]).softmax(-1).numpy()
    np.testing.assert_allclose(shares[[1, 3, 4]], expected, atol=0.01)
    assert shares[0] == shares[2] == 0 and bool(finite.all())


def test_rounding_that_swaps_candidates_changes_no_draw() -> None:
    uniform = torch.linspace(0, 0.999, 50, dtype=torch.float64)
    one, _ = among_top(torch.tensor([[1.0, 1.0 + 1e-6, 0.0]]).expand(50, 3), uniform, 2)
    other, _ = among_top(torch.tensor([[1.0 + 1e-6, 1.0, 0.0]]).expand(50, 3), uniform, 2)
    assert one.tolist() == other.tolist() and set(one.tolist()) == {0, 1}


def test_the_same_prompt_twice_gives_two_texts_and_the_same_seed_the_same() -> None:
    model = tiny_model("llama")
    texts = sample_texts(model, cases()[:1], SETTINGS)
    assert texts[0].text != texts[1].text
    assert texts == sample_texts(model, cases()[:1], SETTINGS)
    assert texts != sample_texts(model, cases()[:1], SETTINGS, seed=1)


def test_no_random_stream_mode_or_gradient_is_touched() -> None:
    model = tiny_model("gpt2")
    model.model.train()
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    sample_texts(model, cases(), SETTINGS)
    continuations(model, cases())
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert model.model.training and torch.is_grad_enabled()


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_edits_by_hooks_are_seen(architecture: str) -> None:
    model = tiny_model(architecture)
    plain = sample_texts(model, cases(), SETTINGS)
    block = model.module(model.anatomy.block(1))
    with added_to_output(block, lambda hidden: hidden * 0.2):
        changed = sample_texts(model, cases(), SETTINGS)
        alone = [text for case in cases() for text in sample_texts(model, [case], SETTINGS)]
    assert changed != plain and changed == alone
    assert sample_texts(model, cases(), SETTINGS) == plain


def test_a_model_that_broke_says_nothing() -> None:
    model = tiny_model("llama")
    model.add_update(1, torch.full_like(model.weight(1), float("nan")))
    texts = sample_texts(model, cases(), SETTINGS)
    assert {text.text for text in texts} == {""}
    assert all(c.tokens == () for c in continuations(model, cases()))


def test_lengths_are_kept_and_long_prompts_left_alone() -> None:
    model = tiny_model("llama")
    short = sample_texts(model, cases(), Generation(cases=4, tokens=20))
    assert all(text.tokens == 20 or (text.tokens > 20 and text.text == "") for text in short)
    assert any(text.tokens > 20 for text in short)
    beyond = sample_texts(model, cases()[:1], Generation(cases=1, tokens=2000))
    assert {text.tokens for text in beyond} == {128}  # what the model can take


def test_continuations_are_greedy_and_as_long_as_the_true_target() -> None:
    model = tiny_model("llama")
    for found in continuations(model, cases()):
        (case,) = [c for c in cases() if c.request.case_id == found.case_id]
        (probe,) = [p for p in case.probes if p.kind == "neighborhood" and p.index == found.index]
        ids = start = model.tokenizer(probe.prompt)["input_ids"]
        for _ in model.tokenizer(" " + probe.target_true, add_special_tokens=False)["input_ids"]:
            with torch.no_grad():
                ids = [*ids, int(model.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())]
        assert found.tokens == tuple(ids[len(start) :])


def test_nothing_is_made_of_nothing() -> None:
    model = tiny_model("llama", bos=False)
    assert sample_texts(model, [], SETTINGS) == [] and continuations(model, []) == []
    bare = [replace(case, probes=case.probes[-1:]) for case in cases()]
    assert sample_texts(model, bare, SETTINGS) == []
    empty = Case(EditRequest(0, "{}", "x", "Brno", ""), (Probe("generation", 0, "", "", ""),))
    with pytest.raises(ConfigError, match="has no tokens"):
        sample_texts(model, [empty], SETTINGS)


def test_batches_keep_to_the_token_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    model, sizes = tiny_model("llama"), []
    forward = model.model.forward

    def counted(*args: Any, **kwargs: Any) -> Any:
        sizes.append(kwargs["input_ids"].shape)
        return forward(*args, **kwargs)

    monkeypatch.setattr(model.model, "forward", counted)
    prompts, lengths = [[5] * n for n in (3, 9, 4, 4)], [4, 2, 0, 6]

    def first(logits: torch.Tensor, step: int, rows: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.full((len(rows),), 7), torch.ones(len(rows), dtype=torch.bool)

    assert [len(more) for more in extend(model, prompts, lengths, first, token_budget=20)] == lengths
    assert [tuple(size) for size in sizes if size[1] > 1] == [(2, 4), (1, 9)]
    assert sum(size[0] * size[1] for size in sizes) < 40
