"""Diagnostics in a run: the same bits however often it stops, in saves of their own, and no part of its results."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from palimpsest.harness.diagnostics.tracker import Tracker
from palimpsest.harness.runs.saves import TRACKER, Saves
from palimpsest.harness.system.atomic_files import FORMAT, MANIFEST
from tests.labs.run_lab import LAYERS, copied, flip, results, run, spec

COURSE: dict[str, Any] = {"edits": 6, "batch_size": 2, "checkpoints": (0, 2, 6)}


def diagnostics(folder: Path, edits: int) -> dict[tuple[str, int | None], float]:
    table = pq.read_table(io.BytesIO((folder / "scores" / f"{edits:06d}" / "diagnostics.parquet").read_bytes()))
    return {(row["name"], row["layer"]): row["value"] for row in table.to_pylist()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield run(tmp_path_factory.mktemp("whole"), spec(**COURSE), diagnostics="full", keep_checkpoints="all").folder


def test_every_checkpoint_has_numbers_of_every_edited_layer(whole: Path) -> None:
    for edits, stored in ((0, None), (2, 2), (6, 6)):
        found = diagnostics(whole, edits)
        assert {layer for _, layer in found} == set(LAYERS)
        assert all(found.get(("stored_edits", layer)) == stored for layer in LAYERS)
        assert all(("condition_number", layer) in found for layer in LAYERS)
    assert diagnostics(whole, 6)["superimposed_noise_norm", LAYERS[0]] > 0


@pytest.mark.parametrize("level", ["cheap", "full"])
def test_a_stopped_run_measures_the_same_bits(level: Any, tmp_path: Path) -> None:
    messages: list[str] = []
    how: dict[str, Any] = {"diagnostics": level, "keep_checkpoints": "all", "messages": messages}
    once = run(tmp_path / "once", spec(**COURSE), **how)
    for limit in (2, 4, None):
        twice = run(tmp_path / "twice", spec(**COURSE), limit=limit, **how)
    assert messages == []
    wanted = results(once.folder)
    assert any(TRACKER in name for name in wanted)
    assert {name: digest for name, digest in results(twice.folder).items() if "000004" not in name} == wanted


def test_scores_and_weights_do_not_depend_on_the_level(whole: Path, tmp_path: Path) -> None:
    cheap = run(tmp_path, spec(**COURSE), diagnostics="cheap", keep_checkpoints="all").folder
    assert cheap.name == whole.name  # the level is no part of the identity
    own = ("diagnostics.parquet", TRACKER)
    kept = {name: digest for name, digest in results(whole).items() if not name.endswith(own)}
    assert kept == {name: digest for name, digest in results(cheap).items() if not name.endswith(own)}


def test_the_level_is_recorded_and_its_change_is_no_change_of_environment(whole: Path, tmp_path: Path) -> None:
    messages: list[str] = []
    run(tmp_path, spec(**COURSE), limit=2, messages=messages)
    folder = run(tmp_path, spec(**COURSE), diagnostics="full", messages=messages).folder
    segments = json.loads((folder / "environment.json").read_text())["segments"]
    assert [segment["diagnostics"] for segment in segments] == ["cheap", "full"]
    assert messages == []
    assert diagnostics(folder, 6)["hyperspherical_energy_path", LAYERS[0]] >= 0  # begun where the run went on


def test_a_save_of_an_earlier_version_is_still_continued(whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path)
    save = folder / "checkpoints" / "000002"
    (save / TRACKER).unlink()
    manifest = json.loads((save / MANIFEST).read_text())
    del manifest["files"][TRACKER]
    (save / MANIFEST).write_text(json.dumps(manifest))
    assert manifest["format"] == FORMAT
    (folder / "result.json").unlink()
    for later in ("checkpoints/000006", "scores/000006"):
        for file in (folder / later).iterdir():
            file.unlink()
        (folder / later).rmdir()
    messages: list[str] = []
    again = run(tmp_path, spec(**COURSE), diagnostics="full", messages=messages)
    assert (again.status, messages) == ("complete", [])
    assert diagnostics(folder, 6)["stored_edits", LAYERS[0]] == 4  # those before the save are not known


def test_a_damaged_file_of_the_tracker_damages_the_save(whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path)
    saves = Saves(folder / "checkpoints", folder.name)
    assert saves.problems(6) == []
    flip(folder / "checkpoints" / "000006" / TRACKER, 900)
    assert any("checksum" in problem for problem in saves.problems(6))
    (folder / "checkpoints" / "000002" / TRACKER).unlink()
    assert any("missing" in problem for problem in saves.problems(2))


def test_the_journal_says_what_measuring_took(whole: Path) -> None:
    lines = [json.loads(line) for line in (whole / "events.jsonl").read_text().splitlines()]
    took = [line["seconds_diagnostics"] for line in lines if line["event"] == "checkpoint"]
    assert len(took) == 3 and all(seconds >= 0 for seconds in took)


def test_results_are_the_same_without_a_tracker(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("before", "after", "see_scored"):
        monkeypatch.setattr(Tracker, name, lambda *_: None)
    monkeypatch.setattr(Tracker, "measure", lambda *_, **__: [])
    monkeypatch.setattr(Tracker, "state_dict", lambda _: {})
    blind = run(tmp_path, spec(**COURSE), keep_checkpoints="all").folder
    own = ("diagnostics.parquet", TRACKER)
    kept = {name: digest for name, digest in results(whole).items() if not name.endswith(own)}
    assert kept == {name: digest for name, digest in results(blind).items() if not name.endswith(own)}
