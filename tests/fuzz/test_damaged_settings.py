"""Damaged specs, suites, claims and ability tasks: a message that names the file, or values as they stand in it."""

from __future__ import annotations

import json
import random
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from palimpsest.cli.run_folders import summarise
from palimpsest.harness.abilities.ability_harness import AbilityHarness
from palimpsest.harness.errors import PalimpsestError
from palimpsest.harness.runs.reading import read_spec
from palimpsest.harness.specs.suite import Suite
from palimpsest.tasks.ability_library import AbilityLibrary
from palimpsest.tasks.claim_files import CLAIMS_FOLDER, load_claims
from palimpsest.tasks.suite_files import load_suite
from tests.fuzz.damage import damaged_bytes, damaged_value
from tests.labs.ability_tasks import write_tasks
from tests.labs.run_lab import spec as lab_spec
from tests.labs.tiny_models import tiny_model

SPECS, SUITES, CLAIMS, ABILITIES = 70, 70, 60, 60

SUITE = """\
name: mine
description: What is tried
models: [pocket-llama, pocket-gpt2]
tasks: [pocket-counterfact]
editors:
  - memit
  - {name: "revive(memit)", set: {tau: 2e-1, host: {second_moment_weight: 1000}}, batch_size: 5}
schedule:
  edits: 40
  batch_size: 10
  checkpoints: [0, 10, 20, 40]
  order_seed: run
scoring: {sample: 20, seed: 3}
abilities: {tasks: [pocket], limit: 50}
seeds: [0, 1, 2]
"""


def test_damaged_specs_are_refused_by_name_or_read_as_they_stand(tmp_path: Path) -> None:
    good = json.loads(lab_spec({}).canonical())
    path, refused = tmp_path / "spec.json", 0
    for seed in range(SPECS):
        rng = random.Random(seed)
        value = damaged_value(good, rng) if seed % 2 else good
        data = json.dumps(value, indent=1).encode("utf-8", "surrogatepass")
        path.write_bytes(data if seed % 2 else damaged_bytes(data, rng))
        summarise(tmp_path)
        try:
            spec = read_spec(tmp_path)
        except PalimpsestError as error:
            refused += 1
            assert str(path) in str(error), f"seed {seed}: {error}"
        else:
            found = json.loads(spec.canonical())
            assert _inside(json.loads(path.read_bytes()), found | {"statistics": spec.statistics}), f"seed {seed}"
    assert SPECS // 4 < refused < SPECS


def _inside(stated: Any, found: Any) -> bool:
    """Whether every value that is stated is found."""
    if isinstance(stated, dict) and isinstance(found, dict):
        return all(name in found and _inside(value, found[name]) for name, value in stated.items())
    if isinstance(stated, list) and isinstance(found, list):
        return len(stated) == len(found) and all(map(_inside, stated, found))
    return type(stated) is type(found) and stated == found


def test_damaged_suites_are_refused_by_name_or_read_as_they_stand(tmp_path: Path) -> None:
    path, refused = tmp_path / "mine.yaml", 0
    good = yaml.safe_load(SUITE)
    for seed in range(SUITES):
        rng = random.Random(seed)
        if seed % 2:
            text = yaml.safe_dump(damaged_value(good, rng), allow_unicode=True).encode("utf-8", "surrogatepass")
        else:
            text = damaged_bytes(SUITE.encode(), rng)
        path.write_bytes(text)
        try:
            suite = load_suite(path)
        except PalimpsestError as error:
            refused += 1
            assert str(path) in str(error), f"seed {seed}: {error}"
        else:
            _check_suite(suite, yaml.load(text, Loader=yaml.BaseLoader), f"seed {seed}")  # noqa: S506
    assert SUITES // 4 < refused < SUITES


def test_damaged_claims_are_refused_by_name_or_read_as_they_stand(tmp_path: Path) -> None:
    path, refused = tmp_path / "mine.toml", 0
    good = (CLAIMS_FOLDER / "pocket-llama.toml").read_bytes()
    for seed in range(CLAIMS):
        path.write_bytes(damaged_bytes(good, random.Random(seed)))
        try:
            found = load_claims(path)
        except PalimpsestError as error:
            refused += 1
            assert str(path) in str(error), f"seed {seed}: {error}"
        else:
            assert _inside(tomllib.loads(path.read_text(encoding="utf-8")), found.model_dump(mode="json")), seed
    assert CLAIMS // 4 < refused < CLAIMS


def _check_suite(suite: Suite, stated: Any, seed: str) -> None:
    """Every value of the suite is the word that stands in the file."""
    found = suite.model_dump(mode="json")
    for name, words in stated.items():
        if name == "editors":
            for entry, word in zip(found["editors"], words, strict=True):
                assert _says(entry, word) if isinstance(word, dict) else entry["name"] == word, seed
        else:
            plural = {"model": "models", "task": "tasks", "seed": "seeds"}.get(name, name)
            several = [words] if plural != name and not isinstance(words, list) else words
            assert _says(found[plural], several), f"{seed}: {name}"


def _says(value: Any, word: Any) -> bool:
    if isinstance(word, dict):
        return all(_says(value[name], inner) for name, inner in word.items())
    if isinstance(word, list):
        return len(value) == len(word) and all(map(_says, value, word))
    if isinstance(value, bool):
        return bool(word == str(value).lower())
    if value is None:
        return word in ("", "~", "null")
    return float(word) == value if isinstance(value, int | float) else value == word


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A folder with one good task of lm-eval."""
    rows = [{"text": f"{n} plays", "choices": ["chess", "cricket"], "answer": n % 2} for n in range(6)]
    write_tasks(tmp_path, {"sports": rows})
    return tmp_path


def test_damaged_ability_tasks_are_refused_by_name_or_ask_every_item(tasks: Path) -> None:
    model, refused = tiny_model("llama"), 0
    good = {name: (tasks / name).read_bytes() for name in ("sports.yaml", "sports.jsonl")}
    for seed in range(ABILITIES):
        rng = random.Random(seed)
        name = "sports.yaml" if seed % 3 else "sports.jsonl"
        for other, data in good.items():
            (tasks / other).write_bytes(damaged_bytes(data, rng) if other == name else data)
        library = AbilityLibrary()
        try:
            refs = library.refs([str(tasks)], None)
            harness = AbilityHarness(model, refs, library=library)
            outcomes = harness.evaluate()
        except PalimpsestError as error:
            refused += 1
            assert str(tasks) in str(error), f"seed {seed}: {error}"
        else:
            rows = (tasks / "sports.jsonl").read_text().splitlines()
            assert all(len(outcome.items) == len(rows) for outcome in outcomes), f"seed {seed}"
            assert all(0 <= outcome.score <= 1 and 0 <= outcome.chance < 1 for outcome in outcomes), f"seed {seed}"
    assert ABILITIES // 8 < refused < ABILITIES
