"""Greedy is argmax, whatever ``generation_config.json`` came with a model."""

from __future__ import annotations

import pytest
import torch
from transformers import GenerationConfig

from palimpsest.harness.abilities.hf_engine import HfEngine
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.model.tokens import end_tokens, until_end
from palimpsest.harness.scoring.generation import greedy
from palimpsest.harness.scoring.probes import sample_answers
from palimpsest.harness.specs.cases import Case, EditRequest, Probe
from tests.labs.tiny_models import tiny_model

HOSTILE = {
    "repetition_penalty": 5.0,
    "no_repeat_ngram_size": 1,
    "min_new_tokens": 4,
    "suppress_tokens": list(range(2, 200)),
    "eos_token_id": [7, 8, 9],
    "do_sample": True,
    "temperature": 3.0,
}
PROMPTS = [[0, 70, 80, 90], [0, 45], [0, 70, 80, 91, 33, 52], [0, 100, 101]]
CASES = [Case(EditRequest(0, "{} is", "a", "b", "c"), (Probe("rewrite", 0, "a is", "b", "c"),))]


def by_hand(model: EditableModel, prompt: list[int], most: int) -> list[int]:
    """One token after another from whole forward passes."""
    ids = list(prompt)
    for _ in range(most):
        with torch.no_grad():
            ids.append(int(model.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return until_end(ids[len(prompt) :], end_tokens(model.model, model.tokenizer))


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_a_models_generation_config_has_no_say_in_greedy_answers(architecture: str) -> None:
    model = tiny_model(architecture)
    texts = HfEngine(model).generate(PROMPTS, 8)
    answers = sample_answers(model, CASES)
    assert texts == [by_hand(model, prompt, 8) for prompt in PROMPTS]
    model.model.generation_config = GenerationConfig(**HOSTILE)
    assert HfEngine(model).generate(PROMPTS, 8) == texts
    assert sample_answers(model, CASES) == answers


def test_a_text_ends_where_the_configuration_or_the_tokenizer_says_so() -> None:
    model = tiny_model("llama")
    free = [by_hand(model, prompt, 8) for prompt in PROMPTS]
    last = free[0][3]
    model.model.config.eos_token_id = [last, 339]
    ended = greedy(model, PROMPTS, 8)
    assert end_tokens(model.model, model.tokenizer) == {last, 339, model.tokenizer.eos_token_id}
    assert ended == [until_end(more, {last, 339}) for more in free]
    assert len(ended[0]) <= 3
