"""Trains the pocket models from the seed of the world: `palimpsest pocket train`."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from palimpsest.harness.system.atomic_files import read_manifest, set_aside, verify_folder, write_folder
from palimpsest.harness.system.interrupts import Interrupts, Stopped
from palimpsest.tasks.pocket.text import training_sentences
from palimpsest.tasks.pocket.tokenizer import VOCABULARY, build_tokenizer
from palimpsest.tasks.pocket.world import World

_IGNORED = -100
_STATE = "training.safetensors"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Recipe of one pocket model; with the world's seed it determines the weights on a given machine."""

    name: str
    begin: bool
    """True if texts start with a begin token."""
    steps: int
    sequences: int = 48
    """Sequences per step."""
    length: int = 80
    """Tokens per sequence."""
    learning_rate: float = 1.5e-3
    warmup: int = 100
    weight_decay: float = 0.05
    seed: int = 0

    def digest(self, world: World) -> str:
        """Identity of a training: saves of another recipe or world are never taken up."""
        text = json.dumps({"recipe": asdict(self), "world": world.seed}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


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
    interrupts: Interrupts | None = None,
) -> tuple[Any, PreTrainedTokenizerFast]:
    """Train to the end of ``recipe``, going on from ``folder`` where an earlier call was cut off.

    Args:
        world: What to learn.
        recipe: Architecture and optimisation.
        folder: Where the state of an unfinished training is kept.
        report: Called after every step with (steps done, loss in nats per token).
        save_every_seconds: How often that state is saved.
        interrupts: Signals to heed: at the first, the state is saved after the step; None: none.

    Returns:
        The trained model in float32 and its tokenizer.

    Raises:
        Stopped: A signal came; the same call goes on from the step it came in.
        MissingResource: The disk is full.
    """
    tokenizer = build_tokenizer(world, begin=recipe.begin)
    model = untrained(recipe).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.95), weight_decay=recipe.weight_decay
    )
    source = batches(world, tokenizer, recipe)
    heard = interrupts or Interrupts()
    place = folder / recipe.digest(world)
    first = _resume(place, model, optimizer)
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
        if heard.requested or time.monotonic() - saved > save_every_seconds:
            _save(place, model, optimizer, step + 1)
            saved = time.monotonic()
        if heard.requested:
            raise Stopped(heard.requested)
    return model.eval(), tokenizer


def _save(place: Path, model: Any, optimizer: torch.optim.AdamW, step: int) -> None:
    tensors = {}
    for name, parameter in model.named_parameters():
        tensors[f"model/{name}"] = parameter.detach().contiguous()
        for key, value in optimizer.state[parameter].items():
            tensors[f"{key}/{name}"] = value.contiguous()
    size = sum(tensor.nbytes for tensor in tensors.values())
    with write_folder(place, edits=step, bytes_needed=size) as partial:
        save_file(tensors, partial / _STATE)


def _resume(place: Path, model: Any, optimizer: torch.optim.AdamW) -> int:
    """Steps done in the save at ``place``, after loading it; 0 without one. A damaged one is set aside."""
    if not place.exists():
        return 0
    steps = int((read_manifest(place) or {}).get("edits", 0))
    if verify_folder(place, edits=steps, names=(_STATE,)):
        set_aside(place)
        return 0
    tensors = load_file(place / _STATE)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[f"model/{name}"])
            # Copies: tensors of a mapped file may lie at addresses at which vector code rounds otherwise.
            state = {key: tensors[f"{key}/{name}"].clone() for key in ("step", "exp_avg", "exp_avg_sq")}
            optimizer.state[parameter] = state
    return steps
