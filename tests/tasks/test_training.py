"""Training goes on to the same bits after an interruption; names fall into pieces, digits stand alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from palimpsest.harness.system.interrupts import Interrupts, Stopped
from palimpsest.tasks.pocket.tokenizer import build_tokenizer
from palimpsest.tasks.pocket.train import RECIPES, Recipe, batches, learning_rate, train, untrained
from palimpsest.tasks.pocket.world import build_world

TINY = Recipe("pocket-gpt2", begin=False, steps=4, sequences=2, length=40, warmup=2)


class Cut(Exception):
    """Stands for a kill."""


def _stop_after(step: int):  # type: ignore[no-untyped-def]
    def report(done: int, loss: float) -> None:
        if done > step:
            raise Cut

    return report


def test_interrupted_training_ends_with_the_bits_of_the_uninterrupted(tmp_path: Path) -> None:
    world = build_world()
    whole, _ = train(world, TINY, tmp_path / "whole", lambda step, loss: None)
    with pytest.raises(Cut):
        train(world, TINY, tmp_path / "cut", _stop_after(2), save_every_seconds=0.0)
    steps: list[int] = []
    resumed, _ = train(world, TINY, tmp_path / "cut", lambda step, loss: steps.append(step))
    assert steps == [3, 4]
    for (name, a), (_, b) in zip(whole.named_parameters(), resumed.named_parameters(), strict=True):
        assert torch.equal(a, b), name


def test_a_signal_saves_after_the_step_and_the_same_call_goes_on(tmp_path: Path) -> None:
    world, interrupts = build_world(), Interrupts()

    def press(step: int, loss: float) -> None:
        interrupts.requested = "interrupted" if step == 2 else None

    with pytest.raises(Stopped, match="interrupted"):
        train(world, TINY, tmp_path, press, interrupts=interrupts)
    steps: list[int] = []
    train(world, TINY, tmp_path, lambda step, loss: steps.append(step))
    assert steps == [3, 4]


def test_saves_of_another_recipe_or_with_flipped_bytes_are_not_taken_up(tmp_path: Path) -> None:
    world, steps = build_world(), list[int]()
    train(world, TINY, tmp_path, lambda step, loss: None, save_every_seconds=0.0)
    longer = replace(TINY, steps=5)
    train(world, longer, tmp_path, lambda step, loss: steps.append(step), save_every_seconds=0.0)
    assert steps == [1, 2, 3, 4, 5]
    state = tmp_path / longer.digest(world) / "training.safetensors"
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    state.write_bytes(content)
    steps.clear()
    train(world, longer, tmp_path, lambda step, loss: steps.append(step))
    assert steps == [1, 2, 3, 4, 5]


def test_recipes_make_the_promised_architectures_within_their_size() -> None:
    llama, gpt2 = (untrained(RECIPES[name]) for name in ("pocket-llama", "pocket-gpt2"))
    assert llama.config.model_type == "llama" and llama.num_parameters() <= 12_000_000
    assert gpt2.config.model_type == "gpt2" and gpt2.num_parameters() < llama.num_parameters()


def test_learning_rate_warms_up_and_ends_at_a_twentieth() -> None:
    recipe = RECIPES["pocket-llama"]
    rates = [learning_rate(recipe, step) for step in range(recipe.steps)]
    assert max(rates) == pytest.approx(recipe.learning_rate)
    assert rates.index(max(rates)) in (recipe.warmup - 1, recipe.warmup)
    assert rates[-1] == pytest.approx(recipe.learning_rate / 20, rel=0.01)


def test_vocabulary_cuts_names_into_pieces_and_digits_apart() -> None:
    world = build_world()
    tokenizer = build_tokenizer(world, begin=True)
    lengths = [len(tokenizer.encode(f" {subject.name}", add_special_tokens=False)) for subject in world.subjects]
    assert min(lengths) >= 2 and sum(length >= 3 for length in lengths) > 0.9 * len(lengths)
    assert len(tokenizer.encode("12 + 7", add_special_tokens=False)) == 4
    assert tokenizer.encode("x")[0] == tokenizer.bos_token_id
    assert tokenizer.encode("Ada Vex", add_special_tokens=False) == tokenizer.encode(
        " Ada Vex", add_special_tokens=False
    )


def test_batches_hold_whole_sentences_and_no_loss_on_padding() -> None:
    world = build_world()
    tokenizer = build_tokenizer(world, begin=True)
    inputs, labels = next(batches(world, tokenizer, Recipe("pocket-llama", begin=True, steps=1, sequences=4)))
    for row, wanted in zip(inputs, labels, strict=True):
        kept = row[wanted != -100]
        assert kept[0] == tokenizer.bos_token_id
        assert tokenizer.decode(kept, skip_special_tokens=True).rstrip().endswith((".", "?"))
        assert bool((row[wanted == -100] == tokenizer.pad_token_id).all())
