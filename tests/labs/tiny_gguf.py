"""A GGUF file of a tiny random Llama with the pocket model's words, written by the package gguf itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from palimpsest.harness.model.catalogue import resolve

HIDDEN, INNER, BLOCKS, HEADS = 64, 128, 3, 4
DOWN = "blk.1.ffn_down.weight"


def write_tiny_gguf(path: Path, seed: int = 0, *, words: bool = True) -> dict[str, Any]:
    """Write the file, its matrices in Q4_1; returns name of a matrix → its dequantised values.

    Args:
        path: The file.
        seed: Of the weights.
        words: Whether it has a tokenizer.
    """
    folder = resolve("pocket-llama").folder
    assert folder is not None
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    vocabulary = sorted(tokenizer["vocab"], key=tokenizer["vocab"].get)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Tiny")
    writer.add_context_length(256)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(BLOCKS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(vocabulary))
    if words:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("smollm")
        writer.add_token_list(vocabulary)
        writer.add_token_types([gguf.TokenType.NORMAL] * len(vocabulary))
        writer.add_token_merges([" ".join(pair) for pair in tokenizer["merges"]])
        writer.add_bos_token_id(0)
        writer.add_eos_token_id(1)
    values = _matrices(writer, len(vocabulary), np.random.default_rng(seed))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return values


def _matrices(writer: gguf.GGUFWriter, vocabulary: int, draws: np.random.Generator) -> dict[str, Any]:
    """Add all tensors of the model; its head is the embedding."""
    values = {}

    def matrix(name: str, rows: int, columns: int) -> None:
        plain = (draws.standard_normal((rows, columns)) / columns**0.5).astype(np.float32)
        packed = gguf.quantize(plain, gguf.GGMLQuantizationType.Q4_1)
        writer.add_tensor(name, packed, raw_dtype=gguf.GGMLQuantizationType.Q4_1)
        values[name] = gguf.dequantize(packed, gguf.GGMLQuantizationType.Q4_1)

    def ones(name: str) -> None:
        writer.add_tensor(name, np.ones(HIDDEN, dtype=np.float32))

    matrix("token_embd.weight", vocabulary, HIDDEN)
    ones("output_norm.weight")
    for block in range(BLOCKS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"blk.{block}.{name}.weight", HIDDEN, HIDDEN)
        matrix(f"blk.{block}.ffn_gate.weight", INNER, HIDDEN)
        matrix(f"blk.{block}.ffn_up.weight", INNER, HIDDEN)
        matrix(f"blk.{block}.ffn_down.weight", HIDDEN, INNER)
        ones(f"blk.{block}.attn_norm.weight")
        ones(f"blk.{block}.ffn_norm.weight")
    return values
