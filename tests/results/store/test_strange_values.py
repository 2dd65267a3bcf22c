"""One folder with a strange value anywhere stops the ingest of no other, and no number is too large for the store."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.results.store.database import Store
from palimpsest.results.store.ingest import ingest
from tests.labs.mutations import STRANGE, places
from tests.labs.synthetic import SyntheticRun, write_run

SMALL = SyntheticRun(checkpoints=(0, 2, 4), batch_size=2, neighborhood=1, texts=1, top=True)
VALUES = [*STRANGE, 2**31, 2**63 - 1, -(2**63), 2**70, -1.5, 1e-320, ["x"], {"a": 1}, "0" * 64, "9999-12-31T23:59:59Z"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    return runs / write_run(runs, SMALL)


def changed(content: Any, most: int = len(VALUES)) -> Iterator[Any]:
    """The content with each of its values in turn replaced by ``most`` strange ones."""
    rng = random.Random(str(content)[:1000])
    for place in range(len(places(content))):
        for value in rng.sample(VALUES, most):
            other = copy.deepcopy(content)
            holder, key = places(other)[place]
            holder[key] = value
            yield other


def linked(folder: Path, place: Path) -> Path:
    """A copy of a run folder that takes no room: all files are hard links."""
    return Path(shutil.copytree(folder, place, copy_function=os.link))


def put(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def run_id(content: Any) -> str | None:
    """The id of a spec, if it is one."""
    try:
        return RunSpec.model_validate_json(json.dumps(content)).id
    except ValueError:
        return None


def ingest_beside_a_good_run(runs: Path, strange: int, tmp_path: Path) -> list[str]:
    """Ingest; the messages about what was left out."""
    good = write_run(runs, replace(SMALL, editor="rome", seed=5))
    with Store.open(tmp_path / "store.duckdb") as store:
        report = ingest(store, runs)
        assert good in report.added
        assert len(report.added) + len({problem.path for problem in report.problems}) >= strange + 1
        assert store.rows("SELECT count(*) > 0 FROM metrics WHERE run_id = ?", [good]) == [(True,)]
    messages = [problem.message for problem in report.problems]
    assert all(message and len(message) <= 1100 for message in messages)
    return messages


def test_a_strange_value_in_any_field_of_a_spec_stops_no_other_run(folder: Path, tmp_path: Path) -> None:
    runs, strange = tmp_path / "runs", 0
    for content in changed(json.loads((folder / "spec.json").read_text()), 12):
        name = run_id(content) or f"{strange:012x}"
        if (runs / name).exists():
            continue
        put(linked(folder, runs / name) / "spec.json", json.dumps(content))
        strange += 1
    messages = ingest_beside_a_good_run(runs, strange, tmp_path)
    assert strange > 300 and not [text for text in messages if "OverflowError" in text or "cannot be written" in text]


@pytest.mark.parametrize("name", ["environment.json", "result.json", "events.jsonl"])
def test_a_strange_value_in_any_field_beside_the_spec_stops_no_other_run(
    folder: Path, tmp_path: Path, name: str
) -> None:
    runs = tmp_path / "runs"
    lines = (folder / name).read_text().splitlines()[:6] if name.endswith("l") else [(folder / name).read_text()]
    strange = 0
    for line, text in enumerate(lines):
        for content in changed(json.loads(text), 2):
            spec = RunSpec.model_validate_json((folder / "spec.json").read_text())
            spec = spec.model_copy(update={"seed": strange + 1})
            place = linked(folder, runs / spec.id)
            put(place / "spec.json", spec.canonical())
            put(place / name, "\n".join([*lines[:line], json.dumps(content), *lines[line + 1 :]]) + "\n")
            strange += 1
    ingest_beside_a_good_run(runs, strange, tmp_path)


@pytest.mark.parametrize(
    "field",
    [
        {"protocol": 2**70},
        {"protocol": -1},
        {"protocol": 0},
        {"editor": {"version": "1" * 5000}},
        {"editor": {"config": {"rate": 10**400}}},
        {"editor": {"config": {"rate": float("nan")}}},
        {"editor": {"config": {"deep": [[[[[[[[[[1]]]]]]]]]]}}},
        {"editor": {"config": {"long": "x" * 200_000}}},
        {"schedule": {"checkpoints": list(range(0, 40_000, 2)), "edits": 39_998}},
        {"abilities": [{"name": "x" * 300, "content_hash": "1" * 64}]},
    ],
    ids=str,
)
def test_a_number_or_text_without_bounds_is_no_part_of_a_spec(folder: Path, field: dict[str, Any]) -> None:
    content = json.loads((folder / "spec.json").read_text())
    for name, value in field.items():
        content[name] = {**content[name], **value} if isinstance(value, dict) else value
    assert run_id(content) is None
