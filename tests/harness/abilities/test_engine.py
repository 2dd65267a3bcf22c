"""The contract of engines: same answers as the model in memory after each hand-over, and a loud no otherwise.

vLLM takes part where it can be imported.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from palimpsest.harness.abilities.ability_harness import AbilityHarness
from palimpsest.harness.abilities.engine import Engine, Pairs, hand_over
from palimpsest.harness.abilities.engines import make_engine
from palimpsest.harness.abilities.hf_engine import HfEngine
from palimpsest.harness.errors import EngineMismatch, MissingResource, UsageError
from palimpsest.harness.model.catalogue import locate, resolve
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.model.loading import load_model
from palimpsest.harness.model.tokens import end_tokens, until_end
from palimpsest.harness.scoring.packing import TargetScores, score_targets
from palimpsest.tasks.ability_library import ability_refs
from tests.labs.installed import INSTALLED

ENGINES = ["hf", "fake", *(["vllm"] if find_spec("vllm") else [])]
TEXTS = ["The mother of the girl lives in the city", "1 + 1 = 2", "plays", "One day he said that it was late"]


class FakeEngine:
    """Has a copy of the model, as another program would, and asks it plainly; ``broken`` breaks the hand-over."""

    name = "fake"
    in_memory = False

    def __init__(self, model: EditableModel, broken: str = "") -> None:
        inner = copy.deepcopy(model.model)
        self.copy = EditableModel(inner, model.tokenizer, name="copy", fingerprint="f")
        self.broken = broken

    def hand_over(self, model: EditableModel) -> None:
        weights = dict(model.model.state_dict())
        if self.broken == "stale":
            return
        if self.broken == "partial":
            weights = {name: tensor for name, tensor in weights.items() if ".1.mlp" not in name}
        if self.broken == "nan":
            weights = {name: tensor * float("nan") for name, tensor in weights.items()}
        self.copy.model.load_state_dict(weights, strict=False)

    def score(self, continuations: Pairs) -> TargetScores:
        return score_targets(self.copy, continuations, token_budget=64)

    @torch.no_grad()
    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[list[int]]:
        texts = []
        for prompt in prompts:
            tokens = list(prompt)
            for _ in range(max_new_tokens):
                tokens.append(int(self.copy.model(torch.tensor([tokens])).logits[0, -1].argmax()))
            texts.append(until_end(tokens[len(prompt) :], end_tokens(self.copy.model, self.copy.tokenizer)))
        return texts


@pytest.fixture(scope="module")
def model() -> EditableModel:
    entry = resolve("pocket-gpt2")
    return load_model(str(locate(entry)), name=entry.name, dtype=entry.dtype)


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, model: EditableModel) -> Engine:
    if request.param == "fake":
        return FakeEngine(model)
    return make_engine(request.param, model, locate(resolve("pocket-gpt2")))


@pytest.fixture(autouse=True)
def restored(model: EditableModel) -> Any:
    yield
    model.write_weights({name: model.pristine(name) for name in model.edited_names()})


def edit(model: EditableModel, seed: int = 0) -> None:
    weight = model.weight(1)
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))
    model.add_update(1, noise * weight.std())


def agree(engine: Engine, model: EditableModel) -> None:
    rows = model.tokenizer(TEXTS)["input_ids"]
    pairs = [(context, target) for context in rows for target in rows if context != target]
    ours, theirs = score_targets(model, pairs), engine.score(pairs)
    np.testing.assert_allclose(theirs.log_prob, ours.log_prob, atol=2e-4)
    assert (theirs.hits == ours.hits).all()
    assert engine.generate(rows, 6) == FakeEngine(model).generate(rows, 6)


def test_an_engine_answers_as_the_model_in_memory_before_and_after_edits(engine: Engine, model: EditableModel) -> None:
    assert hand_over(engine, model) < 1e-4
    agree(engine, model)
    for seed in (1, 2):
        edit(model, seed)
        assert hand_over(engine, model, TEXTS) < 1e-4
        agree(engine, model)


def test_nothing_asked_is_nothing_answered(engine: Engine) -> None:
    assert len(engine.score([]).log_prob) == 0 and engine.generate([], 3) == []


def test_ability_tasks_are_the_same_through_every_engine(engine: Engine, model: EditableModel) -> None:
    refs = ability_refs(["pocket_recall", "pocket_sentiment"], 12)
    edit(model)
    assert (
        AbilityHarness(model, refs, library=INSTALLED.abilities, engine=engine).evaluate()
        == AbilityHarness(model, refs, library=INSTALLED.abilities).evaluate()
    )


@pytest.mark.parametrize("broken", ["stale", "partial", "nan"])
def test_an_engine_without_the_edited_weights_fails_the_checkpoint_loudly(model: EditableModel, broken: str) -> None:
    engine = FakeEngine(model, broken)
    edit(model)
    with pytest.raises(EngineMismatch, match="canary differs by .* This checkpoint is not scored"):
        hand_over(engine, model)
    with pytest.raises(EngineMismatch):
        AbilityHarness(model, ability_refs(["pocket_recall"], 2), library=INSTALLED.abilities, engine=engine).evaluate()


def test_texts_of_edited_facts_sharpen_the_canary(model: EditableModel) -> None:
    engine = FakeEngine(model, "stale")
    edit(model)
    weight = model.weight(1)
    model.add_update(1, (model.pristine(model.anatomy.weight_name(1)).T - weight) * 0.998)  # nearly undone
    assert hand_over(engine, model) < 2e-3
    edit(model, 3)
    with pytest.raises(EngineMismatch):
        hand_over(engine, model, ["plays chess"])


def test_edits_that_are_not_weights_are_refused(model: EditableModel) -> None:
    handle = model.module(model.anatomy.down(0)).register_forward_hook(lambda *_: None)
    with pytest.raises(UsageError, match="by hooks on the model"):
        hand_over(FakeEngine(model), model)
    handle.remove()


def test_engines_by_name(model: EditableModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert isinstance(make_engine("hf", model, None), HfEngine)
    with pytest.raises(UsageError, match="Did you mean 'vllm'"):
        make_engine("vlm", model, None)
    with pytest.raises(UsageError, match="from its folder"):
        make_engine("vllm", model, None)
    monkeypatch.setitem(__import__("sys").modules, "vllm", None)
    with pytest.raises(MissingResource, match=r'pip install "palimpsest-bench\[vllm\]"'):
        make_engine("vllm", model, tmp_path)
