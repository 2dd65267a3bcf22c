"""`keep_checkpoints="none"`: what a run keeps once it is over, and what follows for those who want more of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.system import atomic_files
from tests.labs.run_lab import SHORT, flip, results, run, spec


def without_saves(found: dict[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in found.items() if not name.startswith("checkpoints/")}


def saves(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").glob("*"))


def told(folder: Path) -> list[str]:
    return [json.loads(line)["event"] for line in (folder / "events.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, lab_model: EditableModel) -> Path:
    return run(tmp_path_factory.mktemp("whole"), spec({}, **SHORT), lab_model).folder


@pytest.mark.parametrize("config", [{}, {"nan_at": 103}], ids=["complete", "collapsed"])
def test_saves_go_once_a_run_is_over_and_nothing_else(
    tmp_path: Path, lab_model: EditableModel, config: dict[str, Any]
) -> None:
    kept = run(tmp_path / "kept", spec(config, **SHORT), lab_model).folder
    none = run(tmp_path / "none", spec(config, **SHORT), lab_model, keep_checkpoints="none").folder
    assert saves(kept) and not saves(none)
    assert results(none) == without_saves(results(kept))
    assert [event for event in told(none) if event != "saves_removed"] == told(kept)
    assert {path.name for path in kept.iterdir()} == {path.name for path in none.iterdir()}


def test_saves_stay_while_a_run_is_partial_or_has_failed(tmp_path: Path, lab_model: EditableModel) -> None:
    partial = run(tmp_path, spec({}, **SHORT), lab_model, keep_checkpoints="none", limit=2).folder
    failed = run(tmp_path, spec({"fail_at": 103}, **SHORT), lab_model, keep_checkpoints="none").folder
    assert saves(partial) == ["000002"] and saves(failed) == ["000002"]


def test_a_run_continued_keeps_none_and_has_the_bits_of_an_undisturbed_one(
    whole: Path, tmp_path: Path, lab_model: EditableModel
) -> None:
    run(tmp_path, spec({}, **SHORT), lab_model, keep_checkpoints="none", limit=3)
    folder = run(tmp_path, spec({}, **SHORT), lab_model, keep_checkpoints="none").folder
    assert results(folder) == without_saves(results(whole)) and "run_resumed" in told(folder)


def test_a_run_that_is_over_makes_room_when_asked_and_does_nothing_again(
    tmp_path: Path, lab_model: EditableModel
) -> None:
    folder = run(tmp_path, spec({}, **SHORT), lab_model).folder
    before, events = results(folder), told(folder)
    for _ in range(2):
        outcome = run(tmp_path, spec({}, **SHORT), lab_model, keep_checkpoints="none")
        assert outcome.status == "complete" and not saves(folder)
        assert results(folder) == without_saves(before) and told(folder) == [*events, "saves_removed"]


def test_damaged_scores_keep_the_saves_from_which_they_are_made_anew(
    tmp_path: Path, lab_model: EditableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scores are spoilt behind the run's back after they were written, before it ends."""
    place = tmp_path / "runs" / spec({}, **SHORT).id
    announce = atomic_files.announce

    def spoil(what: str, path: Path) -> None:
        announce(what, path)
        if what == "replace" and path.name == "result.json":
            flip(place / "scores" / "000004" / "probes.parquet", 40)

    monkeypatch.setattr(atomic_files, "announce", spoil)
    run(tmp_path, spec({}, **SHORT), lab_model, keep_checkpoints="none")
    monkeypatch.setattr(atomic_files, "announce", announce)
    assert saves(place)
    messages: list[str] = []
    run(tmp_path, spec({}, **SHORT), lab_model, keep_checkpoints="none", messages=messages)
    assert not saves(place) and "run_resumed" in told(place)


def test_scores_lost_later_are_made_again_from_the_first_edit_and_the_run_says_so(
    whole: Path, tmp_path: Path, lab_model: EditableModel
) -> None:
    folder = run(tmp_path, spec({}, **SHORT), lab_model, keep_checkpoints="none").folder
    flip(folder / "scores" / "000004" / "probes.parquet", 40)
    messages: list[str] = []
    run(tmp_path, spec({}, **SHORT), lab_model, keep_checkpoints="none", messages=messages)
    assert any("starts again from its first edit" in message for message in messages)
    assert results(folder) == without_saves(results(whole)) and not saves(folder)
