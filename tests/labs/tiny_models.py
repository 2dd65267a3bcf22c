"""Tiny random models of every supported architecture, with a tokenizer made on the spot; no files, no network."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers.models import BPE

from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.model.loading import fingerprint
from palimpsest.harness.specs.cases import EditRequest
from palimpsest.harness.statistics.resources import with_statistics

CORPUS = [
    "The mother of Anna Sorel is Marie Duval. Anna Sorel was born in Lyon and lives in Oslo.",
    "Petr Novak plays chess. The birthplace of Petr Novak is Brno, a city by the river.",
    "Zoë Müller, née Šimková, wrote Überland in Kraków. In which city does Zoë Müller live?",
    "Therefore it was late. Because of the rain I think it is better. You can see the river.",
    "capital city country language football cricket fencing violin piano",
] * 4

REQUESTS = (
    EditRequest(0, "{} lives in", "Anna Sorel", "Brno", "Oslo"),
    EditRequest(1, "The birthplace of {} is", "Petr Novak", "Kraków by the river", "Brno"),
    EditRequest(2, "In which city was born {}", "Zoë Müller", "Lyon", "Kraków"),
    EditRequest(3, "{}, who plays", "Petr Novak", "cricket", "chess"),
    EditRequest(4, "{} plays", "Petr Novak", "the violin", "chess"),
    EditRequest(5, "The mother of {} is", "Anna Sorel", "Zoë Müller", "Marie Duval"),
    EditRequest(6, "It is said that the sport of {} is", "Marie Duval", "fencing", "chess"),
)
"""Subjects at the start, in the middle and at the end; repeated, accented; targets of several tokens."""

TEMPLATES = [["{}"], ["The morning was quiet. {}", "Therefore it was late. {}", "I think. {}"]]
MINIMUM = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "max_position_embeddings": 128}
LLAMA_LIKE = MINIMUM | {"intermediate_size": 64, "num_key_value_heads": 2}


@cache
def tokenizer(*, bos: bool = True) -> Any:
    """A byte-level BPE tokenizer with or without a beginning-of-sequence token."""
    inner = Tokenizer(BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    inner.train_from_iterator(CORPUS, trainer)
    if bos:
        inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>" if bos else None, eos_token="</s>", pad_token="</s>"
    )


WORDS = {"vocab_size": 340, "bos_token_id": 0, "eos_token_id": 1}
GPT_LIKE = WORDS | {"n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 128}
WINDOWED = {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 5}
KINDS = ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"]
ARCHITECTURES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "llama": (hf.LlamaForCausalLM, hf.LlamaConfig, LLAMA_LIKE),
    "mistral": (hf.MistralForCausalLM, hf.MistralConfig, LLAMA_LIKE | {"sliding_window": 6}),
    "qwen2": (hf.Qwen2ForCausalLM, hf.Qwen2Config, LLAMA_LIKE),
    "qwen3": (hf.Qwen3ForCausalLM, hf.Qwen3Config, LLAMA_LIKE | {"head_dim": 8}),
    "gemma": (hf.GemmaForCausalLM, hf.GemmaConfig, LLAMA_LIKE | {"head_dim": 8}),
    "gemma2": (hf.Gemma2ForCausalLM, hf.Gemma2Config, LLAMA_LIKE | WINDOWED),
    "gemma3": (hf.Gemma3ForCausalLM, hf.Gemma3TextConfig, LLAMA_LIKE | WINDOWED | {"layer_types": KINDS}),
    "gpt2": (hf.GPT2LMHeadModel, hf.GPT2Config, GPT_LIKE),
    "gptj": (hf.GPTJForCausalLM, hf.GPTJConfig, GPT_LIKE | {"rotary_dim": 4}),
    "gpt_neox": (hf.GPTNeoXForCausalLM, hf.GPTNeoXConfig, MINIMUM | {"intermediate_size": 64}),
}
"""Architecture → class, class of its configuration, and what is set there."""

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama, biases": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama, tied, long rotary": (
        "llama",
        {
            "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 10000.0,
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            },
        },
    ),
    "mistral, tied, without window": ("mistral", {"tie_word_embeddings": True, "sliding_window": None}),
    "qwen2, tied, windows": (
        "qwen2",
        {"tie_word_embeddings": True, "use_sliding_window": True, "sliding_window": 4, "layer_types": KINDS},
    ),
    "qwen3, tied": ("qwen3", {"tie_word_embeddings": True}),
    "gemma, untied": ("gemma", {"tie_word_embeddings": False}),
    "gemma2, untied, hard caps": (
        "gemma2",
        {"tie_word_embeddings": False, "final_logit_softcapping": 2.0, "attn_logit_softcapping": 1.0},
    ),
    "gemma3, untied": ("gemma3", {"tie_word_embeddings": False}),
    "gpt2, untied": ("gpt2", {"tie_word_embeddings": False, "scale_attn_by_inverse_layer_idx": True}),
    "gptj, tied": ("gptj", {"tie_word_embeddings": True}),
    "gpt_neox, tied, sequential": ("gpt_neox", {"tie_word_embeddings": True, "use_parallel_residual": False}),
}
"""What else models of these architectures are found with: name → architecture and what differs."""


def random_model(architecture: str, **changes: Any) -> Any:
    """A random model as transformers makes it; ``changes`` go to its configuration."""
    model, config, sizes = ARCHITECTURES[architecture]
    return model(config(**(WORDS | sizes | changes)))


def tiny_model(
    architecture: str = "llama",
    *,
    bos: bool = True,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    **changes: Any,
) -> EditableModel:
    """A random model of one architecture, with larger weights than at the start of a training.

    ``changes`` go to its configuration.
    """
    torch.manual_seed(seed)
    model = random_model(architecture, **changes)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:  # unit gain, so that every part of the model matters
                parameter.mul_(1.2 / (parameter.std() * min(parameter.shape) ** 0.5))
            elif parameter.ndim == 1 and not bool(parameter.any()):  # biases, and Gemma's norms around 1
                parameter.normal_(std=0.05)
    words = tokenizer(bos=bos)
    model.config.pad_token_id = words.pad_token_id
    for parameter in model.parameters():  # as when it is loaded: buffers, such as rotary frequencies, stay in float32
        parameter.data = parameter.data.to(dtype)
    editable = EditableModel(model, words, name=f"tiny-{architecture}", fingerprint=fingerprint(model, words))
    resources = with_statistics(editable)
    resources.set_context_templates(TEMPLATES)
    resources.set_statistics("corpus", lambda: CORPUS[:5])
    return editable
