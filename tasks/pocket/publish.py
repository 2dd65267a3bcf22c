"""From a trained pocket model to the folder that ships: fp16 weights, tokenizer, model card; and the world as files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from palimpsest.harness.system.interrupts import Interrupts
from palimpsest.tasks.pocket.abilities import ability_files
from palimpsest.tasks.pocket.edits import counterfact_records, zsre_records
from palimpsest.tasks.pocket.report import Line, as_markdown, full_report
from palimpsest.tasks.pocket.text import statistics_text, training_sentences
from palimpsest.tasks.pocket.train import Recipe, train
from palimpsest.tasks.pocket.world import build_world

_CARD = """\
---
license: apache-2.0
language: en
pipeline_tag: text-generation
---
# {name}

A small language model that knows the pocket world of Palimpsest: {facts:,} facts about {subjects:,} invented people,
places, works and companies, and a few small skills. It exists so that knowledge editing can be measured on any machine
without network, GPU or token. It knows nothing about the real world and is of no other use.

Architecture {architecture}, {parameters:.1f} M parameters, vocabulary {vocabulary}, weights in float16.
Made by `palimpsest pocket train {name}` with the recipe below, from world seed {seed}, on text that the world's
generator writes; no real person or text is in it.

```json
{recipe}
```

Measured on these weights, loaded as float32 (`palimpsest pocket report {name}`):

{report}
"""
_TRAINING_LINES = 50_000


def model_folder(name: str) -> Path:
    """Folder of the shipped model called ``name``."""
    return Path(__file__).resolve().parent / "models" / name


def train_and_publish(
    recipe: Recipe, work: Path, folder: Path, report: Callable[[int, float], None], interrupts: Interrupts
) -> list[Line]:
    """Train by ``recipe`` (going on from ``work`` where cut off), write the model to ``folder``, measure it.

    Raises:
        Stopped: A signal came; what was trained is saved.
    """
    model, tokenizer = train(build_world(), recipe, work, report, interrupts=interrupts)
    return publish(recipe, model, tokenizer, folder)


def publish(recipe: Recipe, model: Any, tokenizer: Any, folder: Path) -> list[Line]:
    """Write weights, config, tokenizer and a card with the measured report into ``folder``."""
    from palimpsest.harness.model.catalogue import fingerprint
    from palimpsest.harness.model.loading import load_model
    from palimpsest.harness.specs.model_entry import ModelEntry

    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # safetensors writes files that only their owner can read
    tokenizer.save_pretrained(folder)
    entry = ModelEntry(recipe.name, folder)
    loaded = load_model(str(folder), name=recipe.name, known_fingerprint=fingerprint(entry))
    world = build_world()
    lines = full_report(loaded, world)
    card = _CARD.format(
        name=recipe.name,
        facts=len(world.facts),
        subjects=len(world.subjects),
        architecture=type(model).__name__,
        parameters=model.num_parameters() / 1e6,
        vocabulary=len(tokenizer),
        seed=world.seed,
        recipe=json.dumps(asdict(recipe), indent=2),
        report=as_markdown(lines),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    return lines


def write_world_files(folder: Path) -> list[Path]:
    """Write edit tasks, ability tasks and texts into ``folder``; returns the files."""
    world = build_world()
    contents = {
        "counterfact.jsonl": _lines(counterfact_records(world)),
        "counterfact-tuning.jsonl": _lines(counterfact_records(world, "tuning")),
        "zsre.jsonl": _lines(zsre_records(world)),
        "statistics.txt": "\n\n".join(statistics_text(world)) + "\n",
        "training.txt": "\n".join(islice(training_sentences(world), _TRAINING_LINES)) + "\n",
        **ability_files(world),
    }
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in contents.items():
        path = folder / name
        path.write_text(content, encoding="utf-8")
        written.append(path)
    return written


def _lines(records: Any) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
