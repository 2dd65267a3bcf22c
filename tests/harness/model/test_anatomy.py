from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers as hf

from palimpsest.harness.errors import UsageError
from palimpsest.harness.model.anatomy import detect
from palimpsest.harness.model.hooks import replaced_blocks, unchanged
from tests.labs.tiny_models import ARCHITECTURES, LLAMA_LIKE, VARIANTS, random_model, tiny_model

PATHS = {
    "gpt2": ("transformer.h.2.mlp.c_proj.weight", "transformer.ln_f", True),
    "gptj": ("transformer.h.2.mlp.fc_out.weight", "transformer.ln_f", False),
    "gpt_neox": ("gpt_neox.layers.2.mlp.dense_4h_to_h.weight", "gpt_neox.final_layer_norm", False),
}
LLAMA_PATHS = ("model.layers.2.mlp.down_proj.weight", "model.norm", False)


@pytest.mark.parametrize("name", [*ARCHITECTURES, *VARIANTS])
def test_every_supported_architecture_is_understood(name: str) -> None:
    architecture, changes = VARIANTS.get(name, (name, {}))
    model = random_model(architecture, **changes)
    anatomy = detect(model)
    weight, norm, transposed = PATHS.get(architecture, LLAMA_PATHS)
    assert (anatomy.weight_name(2), anatomy.final_norm, anatomy.transposed) == (weight, norm, transposed)
    assert (anatomy.n_layers, anatomy.d_hidden) == (4, 32)
    shape = tuple(model.get_parameter(weight).shape)
    assert shape == ((anatomy.d_inner, 32) if transposed else (32, anatomy.d_inner))
    assert model.get_submodule(anatomy.head) is model.get_output_embeddings()
    shared = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert anatomy.tied_head is shared is bool(getattr(model.config, "tie_word_embeddings", False))
    if changes:
        assert ("untied" in name or "biases" in name) is not shared, "the variant is not what its name says"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_blocks_return_is_seen_and_skipped_blocks_return_alike(architecture: str) -> None:
    model = tiny_model(architecture)  # GPT-J's return tuples up to transformers 5.23, and tensors since
    block = model.module(model.anatomy.block(1))
    seen: list[Any] = []
    with block.register_forward_hook(lambda module, inputs, output: seen.append(output)):
        model.model(torch.arange(4)[None])
        with replaced_blocks(model, {1: unchanged}):
            model.model(torch.arange(4)[None])
    assert [isinstance(output, tuple) for output in seen] == 2 * [model.anatomy.blocks_return_tuples]


@pytest.mark.parametrize("tuples", [False, True])
def test_a_skipped_block_returns_a_tuple_only_where_blocks_do(tuples: bool) -> None:
    block, hidden = torch.nn.Identity(), torch.ones(1)
    anatomy = SimpleNamespace(blocks_return_tuples=tuples, block=lambda layer: f"blocks.{layer}")
    model: Any = SimpleNamespace(anatomy=anatomy, module=lambda name: block)
    with replaced_blocks(model, {0: unchanged}):
        output = block(hidden)
    assert isinstance(output, tuple) is tuples
    assert (output[0] if tuples else output) is hidden


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_are_shown_as_d_out_by_d_in(architecture: str) -> None:
    model = tiny_model(architecture)
    down = model.module(model.anatomy.down(1))
    key = torch.randn(model.anatomy.d_inner)
    bias = down.bias if getattr(down, "bias", None) is not None else 0.0
    torch.testing.assert_close(model.weight(1) @ key + bias, down(key[None])[0], rtol=1e-4, atol=1e-4)


def test_unsupported_architectures_say_what_was_looked_for() -> None:
    moe = hf.MixtralForCausalLM(hf.MixtralConfig(vocab_size=50, **LLAMA_LIKE, num_local_experts=2))
    with pytest.raises(UsageError, match=r"MixtralForCausalLM is not supported: an MLP down-projection"):
        detect(moe)
    opt = hf.OPTForCausalLM(
        hf.OPTConfig(vocab_size=50, hidden_size=16, ffn_dim=32, num_hidden_layers=1, num_attention_heads=2)
    )
    with pytest.raises(UsageError, match="OPTForCausalLM is not supported"):
        detect(opt)


def test_packed_weights_are_not_taken_for_a_matrix() -> None:
    model = random_model("llama")
    packed = torch.nn.Linear(64, 32, bias=False)
    packed.weight = torch.nn.Parameter(torch.zeros(32, 64, dtype=torch.int8), requires_grad=False)
    model.model.layers[1].mlp.down_proj = packed
    with pytest.raises(UsageError, match="floating point"):
        detect(model)
