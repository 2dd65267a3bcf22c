"""Blocks in few operations: only where they give what the model gives, and only where no hook is passed over."""

from __future__ import annotations

import pytest
import torch
import transformers as hf

from palimpsest.editors.toolkit.packing.rows import Piece, packed
from palimpsest.editors.toolkit.packing.upper import lean_form, logits_above
from palimpsest.harness.model.editable import EditableModel
from tests.labs.tiny_models import ARCHITECTURES, LLAMA_LIKE, WORDS, tiny_model, tokenizer

LEAN = {"llama", "mistral", "qwen2"}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_models_like_llama_have_a_lean_form_and_no_others(architecture: str) -> None:
    assert (lean_form(tiny_model(architecture)) is not None) == (architecture in LEAN)


@pytest.mark.parametrize("architecture", sorted(LEAN))
@pytest.mark.parametrize("first", [0, 2, 3])
def test_logits_and_slopes_are_those_of_the_model(architecture: str, first: int) -> None:
    model = tiny_model(architecture)
    row = packed(model, [Piece(tuple(range(9, 17))), Piece((40, 41, 42), (0, 1, 2, 3)), Piece((50, 51, 52))])
    read = torch.tensor([12, 2, 9])  # in any order
    found = []
    for short in (None, lean_form(model)):
        stream = torch.randn(14, 32, generator=torch.Generator().manual_seed(1)).requires_grad_(True)
        logits = logits_above(model, short, stream, row, first, read)
        (slope,) = torch.autograd.grad(logits.log_softmax(1)[:, 7].sum(), stream)
        found.append((logits.detach(), slope))
    torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[1][1], found[0][1], rtol=1e-4, atol=1e-5)
    assert bool(found[1][1][0].any()) == (first < 3)  # also the beginning that two pieces share has a slope


def test_a_hook_on_a_part_of_a_block_is_not_passed_over() -> None:
    model = tiny_model("llama")
    assert lean_form(model) is not None
    handle = model.module(model.anatomy.down(2)).register_forward_hook(lambda module, inputs, output: 2 * output)
    assert lean_form(model) is None
    handle.remove()
    assert lean_form(model) is not None


def test_a_model_with_the_same_modules_that_computes_otherwise_runs_as_it_is() -> None:
    torch.manual_seed(0)
    config = hf.GraniteConfig(**(WORDS | LLAMA_LIKE), residual_multiplier=0.5)
    model = EditableModel(hf.GraniteForCausalLM(config), tokenizer(), name="granite", fingerprint="granite")
    assert lean_form(model) is None


def test_a_model_with_numbers_that_are_not_finite_is_tried_again() -> None:
    model = tiny_model("llama")
    name = model.anatomy.weight_name(3)
    model.write_weights({name: torch.full_like(model.pristine(name), float("nan"))})
    assert lean_form(model) is None
    model.write_weights({name: model.pristine(name)})
    assert lean_form(model) is not None
