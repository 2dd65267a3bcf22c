"""Architectures that no test knows are tried when they are loaded, and refused with the check that fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from torch import nn

from palimpsest.harness.errors import UsageError
from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.runs.loaded_model import load
from palimpsest.harness.scoring.self_test import try_architecture
from tests.labs.post_norm_models import OTHERS, model_of
from tests.labs.tiny_models import ARCHITECTURES, WORDS, tiny_model, tokenizer

BLOOM = {"hidden_size": 32, "n_layer": 4, "n_head": 4}


def bloom() -> Any:
    return hf.BloomForCausalLM(hf.BloomConfig(**(WORDS | BLOOM)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma3"])
def test_supported_architectures_pass_and_keep_their_bits(architecture: str, dtype: torch.dtype) -> None:
    assert architecture in ARCHITECTURES
    model = tiny_model(architecture, dtype=dtype)
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    try_architecture(model)
    assert all(torch.equal(value, before[name]) for name, value in model.model.state_dict().items())


@pytest.mark.parametrize("architecture", OTHERS)
def test_others_that_are_built_alike_pass(architecture: str) -> None:
    try_architecture(model_of(architecture))


def test_an_mlp_that_adds_the_residual_itself_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    bloom().save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)

    def no_texts(name: str) -> Any:
        raise AssertionError(name)

    with pytest.raises(UsageError, match=r'BloomForCausalLM is not among.*check "parts of the model run alone" fails'):
        load(resolve(str(tmp_path)), tmp_path / "home", texts=no_texts)


class _Twice(nn.Module):
    """A down-projection whose output is that of its weight, and of a copy that no edit reaches."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = inner.weight, inner.bias
        self.register_buffer("other", inner.weight.detach().clone())

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        if torch.equal(self.weight, self.other):
            return nn.functional.linear(hidden, self.weight, self.bias)
        return nn.functional.linear(hidden, (self.weight + self.other) / 2, self.bias)


def half_edited(model: EditableModel) -> None:
    for layer in range(model.anatomy.n_layers):
        mlp = model.module(f"{model.anatomy.block(layer)}.mlp")
        mlp.down_proj = _Twice(mlp.down_proj)  # type: ignore[arg-type]


def without_cache(model: EditableModel) -> None:
    """Earlier keys and values are forgotten."""
    whole = model.model.forward

    def forward(*given: Any, past_key_values: Any = None, attention_mask: Any = None, **named: Any) -> Any:
        ids = named["input_ids"] if "input_ids" in named else given[0]
        kept = None if past_key_values is not None else attention_mask
        return whole(*given, attention_mask=kept if kept is None else kept[:, -ids.shape[1] :], **named)

    model.model.forward = forward


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        (half_edited, "an edit moves the output as it should"),
        (without_cache, "greedy texts equal plain forward passes"),
    ],
)
def test_a_model_that_does_not_do_as_it_should_is_refused_with_the_failing_check(damage: Any, check: str) -> None:
    model = tiny_model("llama")
    damage(model)
    with pytest.raises(UsageError, match=f'check "{check}" fails'):
        try_architecture(model)
