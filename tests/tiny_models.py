"""Tiny random models of every supported architecture, with a tokenizer made on the spot; no files, no network."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers.models import BPE

from palimpsest.harness.model import EditableModel, fingerprint
from palimpsest.harness.requests import EditRequest

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


def _gemma3() -> Any:
    kinds = ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"]
    sizes = LLAMA_LIKE | {"head_dim": 8, "sliding_window": 5, "layer_types": kinds}
    return hf.Gemma3ForCausalLM(hf.Gemma3TextConfig(vocab_size=340, query_pre_attn_scalar=8, **sizes))


def _gemma2() -> Any:
    sizes = LLAMA_LIKE | {"head_dim": 8, "sliding_window": 5, "query_pre_attn_scalar": 8}
    return hf.Gemma2ForCausalLM(hf.Gemma2Config(vocab_size=340, **sizes))


def _gptj() -> Any:
    return hf.GPTJForCausalLM(
        hf.GPTJConfig(
            vocab_size=340,
            bos_token_id=0,
            eos_token_id=1,
            n_embd=32,
            n_layer=4,
            n_head=4,
            n_positions=128,
            rotary_dim=4,
        )
    )


ARCHITECTURES: dict[str, Any] = {
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(vocab_size=340, **LLAMA_LIKE)),
    "mistral": lambda: hf.MistralForCausalLM(hf.MistralConfig(vocab_size=340, sliding_window=6, **LLAMA_LIKE)),
    "qwen2": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(vocab_size=340, **LLAMA_LIKE)),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(vocab_size=340, head_dim=8, **LLAMA_LIKE)),
    "gemma": lambda: hf.GemmaForCausalLM(hf.GemmaConfig(vocab_size=340, head_dim=8, **LLAMA_LIKE)),
    "gemma2": _gemma2,
    "gemma3": _gemma3,
    "gpt2": lambda: hf.GPT2LMHeadModel(
        hf.GPT2Config(vocab_size=340, bos_token_id=0, eos_token_id=1, n_embd=32, n_layer=4, n_head=4, n_positions=128)
    ),
    "gptj": _gptj,
    "gpt_neox": lambda: hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(vocab_size=340, **MINIMUM, intermediate_size=64)),
}
"""Architecture → maker of a random model."""


def tiny_model(
    architecture: str = "llama", *, bos: bool = True, seed: int = 0, dtype: torch.dtype = torch.float32
) -> EditableModel:
    """A random model of one architecture, with larger weights than at the start of a training."""
    torch.manual_seed(seed)
    model = ARCHITECTURES[architecture]()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:  # unit gain, so that every part of the model matters
                parameter.mul_(1.2 / (parameter.std() * min(parameter.shape) ** 0.5))
    words = tokenizer(bos=bos)
    model.config.pad_token_id = words.pad_token_id
    model = model.to(dtype)
    editable = EditableModel(
        model, words, name=f"tiny-{architecture}", fingerprint=fingerprint(model, words), cache=None
    )
    editable.resources.set_context_templates(TEMPLATES)
    editable.resources.set_statistics("corpus", lambda: CORPUS[:5])
    return editable
