from __future__ import annotations

import pytest
import torch

from palimpsest.editors.toolkit.packing.rows import Packed
from palimpsest.editors.toolkit.packing.trees import packing_holds, planted
from palimpsest.harness.model.hooks import captured_output
from tests.labs.tiny_models import ARCHITECTURES, VARIANTS, tiny_model

SENTENCES = [(0, 9, 8, 7, 30, 31), (0, 9, 8, 40), (0, 9, 8, 7, 30, 31), (0, 9), (5, 6, 7, 8, 9, 10, 11), (0, 9, 8, 7)]


@pytest.mark.parametrize("name", [*ARCHITECTURES, *VARIANTS])
def test_packed_sentences_give_the_residual_stream_of_each_alone(name: str) -> None:
    architecture, changes = VARIANTS.get(name, (name, {}))
    model = tiny_model(architecture, **changes)
    assert packing_holds(model)
    backbone = model.module(model.anatomy.backbone)
    before = model.model.config._attn_implementation
    with torch.no_grad(), captured_output(model.module(model.anatomy.block(3))) as seen:
        tree = planted(model, SENTENCES)
        with tree.running() as (arguments, _):
            backbone(**arguments)
        together = seen.pop().flatten(0, 1)
        for sentence, places in zip(SENTENCES, tree.places, strict=True):
            backbone(input_ids=torch.tensor([sentence]), use_cache=False)
            torch.testing.assert_close(together[places], seen.pop()[0], rtol=1e-4, atol=1e-5)
    assert model.model.config._attn_implementation == before


def test_what_sentences_begin_with_is_computed_once() -> None:
    tree = planted(tiny_model(), SENTENCES)
    beginnings = {sentence[:end] for sentence in SENTENCES for end in range(1, len(sentence) + 1)}
    assert isinstance(tree.tokens, Packed)
    assert len(tree.tokens.ids) == len(beginnings)
    assert tree.places[0] == tree.places[2]


def test_a_model_that_takes_no_packed_row_gets_padded_sentences() -> None:
    model = tiny_model("llama")
    for block in model.model.model.layers:  # as attention with sinks of its own
        attention = block.self_attn
        plain = attention.forward
        block.self_attn.forward = lambda *args, plain=plain, **named: plain(*args, **named, s_aux=torch.zeros(1))
    assert not packing_holds(model)
    tree = planted(model, SENTENCES)
    assert not isinstance(tree.tokens, Packed)
    with tree.running() as (arguments, _):
        assert arguments["input_ids"].shape == (len(SENTENCES), 7)


def test_a_collapsed_model_is_tried_again_later() -> None:
    model = tiny_model("llama")
    weights = model.read_weights([model.anatomy.weight_name(0)])
    model.write_weights({name: torch.full_like(weight, torch.nan) for name, weight in weights.items()})
    assert not packing_holds(model)
    model.write_weights(weights)
    assert packing_holds(model)
