"""Trains the pocket models from the seed of the world: `palimpsest pocket train`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from palimpsest.tasks.pocket.text import training_sentences
from palimpsest.tasks.pocket.tokenizer import VOCABULARY, build_tokenizer
from palimpsest.tasks.pocket.world import World

_IGNORED = -100


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one pocket model is made; with the world's seed it determines the weights on a given machine."""

    name: str
    begin: bool
    """Whether texts start with a begin token."""
    steps: int
    sequences: int = 48
    """Sequences per step."""
    length: int = 80
    """Tokens per sequence."""
    learning_rate: float = 1.5e-3
    warmup: int = 100
    weight_decay: float = 0.05
    seed: int = 0


RECIPES = {
    "pocket-llama": Recipe("pocket-llama", begin=True, steps=2000),
    "pocket-gpt2": Recipe("pocket-gpt2", begin=False, steps=2000, learning_rate=2e-3),
}


def untrained(recipe: Recipe) -> Any:
    """The model of ``recipe`` with random weights from its seed."""
    torch.manual_seed(recipe.seed)
    if recipe.name == "pocket-llama":
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=VOCABULARY,
                hidden_size=256,
                intermediate_size=1536,
                num_hidden_layers=6,
                num_attention_heads=8,
                num_key_value_heads=4,
                max_position_embeddings=256,
                tie_word_embeddings=True,
                bos_token_id=0,
                eos_token_id=1,
                pad_token_id=1,
            )
        )
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY,
            n_embd=128,
            n_inner=512,
            n_layer=5,
            n_head=4,
            n_positions=256,
            bos_token_id=1,
            eos_token_id=1,
            pad_token_id=1,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
        )
    )


def batches(world: World, tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless (inputs, labels), each ``sequences × length``; whole sentences fill a sequence, the rest is padding."""
    begin = [tokenizer.bos_token_id] if recipe.begin else []
    stream = training_sentences(world)
    pending: list[int] = []
    while True:
        inputs = torch.full((recipe.sequences, recipe.length), tokenizer.pad_token_id)
        labels = torch.full((recipe.sequences, recipe.length), _IGNORED)
        for row in range(recipe.sequences):
            ids = list(begin)
            while True:
                if not pending:
                    pending = tokenizer.encode(next(stream), add_special_tokens=False)
                if len(ids) + len(pending) > recipe.length:
                    break
                ids += pending
                pending = []
            inputs[row, : len(ids)] = torch.tensor(ids)
            labels[row, : len(ids)] = torch.tensor(ids)
        yield inputs, labels


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then half a cosine down to a twentieth of the peak."""
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.learning_rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))


def train(
    world: World,
    recipe: Recipe,
    folder: Path,
    report: Callable[[int, float], None],
    *,
    save_every_seconds: float = 300.0,
) -> tuple[Any, PreTrainedTokenizerFast]:
    """Train to the end of ``recipe``, going on from ``folder`` where an earlier call was cut off.

    Args:
        world: What to learn.
        recipe: Architecture and optimisation.
        folder: Where the state of an unfinished training is kept.
        report: Called after every step with (steps done, loss in nats per token).
        save_every_seconds: How often that state is saved.

    Returns:
        The trained model in float32 and its tokenizer.
    """
    tokenizer = build_tokenizer(world, begin=recipe.begin)
    model = untrained(recipe).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.95), weight_decay=recipe.weight_decay
    )
    source = batches(world, tokenizer, recipe)
    first = _resume(folder, model, optimizer)
    for _ in range(first):
        next(source)
    saved = time.monotonic()
    for step in range(first, recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step)
        inputs, labels = next(source)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(input_ids=inputs).logits
        loss = torch.nn.functional.cross_entropy(
            logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten(), ignore_index=_IGNORED
        )
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        report(step + 1, float(loss.detach()))
        if time.monotonic() - saved > save_every_seconds:
            _save(folder, model, optimizer, step + 1)
            saved = time.monotonic()
    return model.eval(), tokenizer


def _save(folder: Path, model: Any, optimizer: torch.optim.AdamW, step: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, parameter in model.named_parameters():
        tensors[f"model/{name}"] = parameter.detach().contiguous()
        for key, value in optimizer.state[parameter].items():
            tensors[f"{key}/{name}"] = value.contiguous()
    temporary = folder / "training.partial"
    save_file(tensors, temporary, metadata={"step": json.dumps(step)})
    temporary.replace(folder / "training.safetensors")
    (folder / "training.json").write_text(json.dumps({"step": step}))


def _resume(folder: Path, model: Any, optimizer: torch.optim.AdamW) -> int:
    path = folder / "training.safetensors"
    if not path.exists():
        return 0
    tensors = load_file(path)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[f"model/{name}"])
            optimizer.state[parameter] = {key: tensors[f"{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq")}
    return int(next(iter(tensors[key] for key in tensors if key.startswith("step/"))))
