"""Damage and full disks: what is lost is told, what can be healed is healed, and the bits are the same."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from benchmarks.damage import DAMAGES
from benchmarks.damage import flip as flip_a_bit
from palimpsest.harness.errors import MissingResource
from palimpsest.harness.plugins.configuration import build_editor
from palimpsest.harness.runs.journal import read_events
from palimpsest.harness.system import atomic_files
from palimpsest.results.reading.run_folder import read_run_folder
from tests.harness.runs.test_resume_editors import MEMIT, loaded
from tests.labs.run_lab import (
    SHORT,
    EditableModel,
    EditReport,
    EditRequest,
    Nudge,
    NudgeConfig,
    copied,
    flip,
    results,
    run,
    spec,
)


@pytest.mark.parametrize("seed", range(3))
def test_every_flipped_file_is_healed(whole: Path, tmp_path: Path, lab_model: EditableModel, seed: int) -> None:
    """Flip bytes in each file of a finished run in turn: the next call tells, repairs, and gives the same bits."""
    wanted, dice = results(whole), random.Random(seed)
    names = [str(p.relative_to(whole)) for p in sorted(whole.rglob("*")) if p.is_file() and p.name != "lock"]
    names = [name for name in names if name != "events.jsonl" and "checkpoints" not in name]
    for number, name in enumerate(dice.sample(names, 6)):
        home = tmp_path / str(number)
        folder, messages = copied(whole, home), list[str]()
        flip(folder / name, dice.randrange(10_000))
        run(home, spec({}, **SHORT), lab_model, messages=messages)
        assert results(folder).items() >= wanted.items(), name
        if name.startswith("scores/"):
            assert any(name.rpartition("/")[0] in message for message in messages), (name, messages)


@pytest.mark.parametrize("name", ["weights.safetensors", "state.safetensors", "manifest.json"])
@pytest.mark.parametrize("both", [False, True])
def test_damaged_saves_fall_back(whole: Path, tmp_path: Path, lab_model: EditableModel, name: str, both: bool) -> None:
    folder, messages = copied(whole, tmp_path), list[str]()
    (folder / "result.json").unlink()
    shutil.rmtree(folder / "scores" / "000004")
    flip(folder / "checkpoints" / "000004" / name, 40)
    if both:
        flip(folder / "checkpoints" / "000002" / name, 41)
    outcome = run(tmp_path, spec({}, **SHORT), lab_model, messages=messages)
    assert outcome.status == "complete"
    lost = "checkpoints/000002" if both else "nothing"
    assert results(folder) == {k: v for k, v in results(whole).items() if not k.startswith(lost)}
    assert any("The save at 4 edits is damaged" in m and name in m for m in messages), messages
    assert any("starts again from its first edit" in m for m in messages) == both
    assert not any("does not repeat itself" in m for m in messages)
    assert (folder / "checkpoints" / "000004.damaged").is_dir()


def flip_a_letter(path: Path) -> None:
    """Another digit or letter, so that the file still reads."""
    data = path.read_bytes()
    place = data.rindex(b"4") if path.name == "result.json" else data.index(b".") + 1
    path.write_bytes(data[:place] + bytes([data[place] + 1]) + data[place + 1 :])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("weights.safetensors", flip_a_bit),
        ("manifest.json", DAMAGES[2]),
        *(("diagnostics.safetensors", d) for d in DAMAGES),
    ],
)
def test_a_damaged_newest_save_of_a_finished_run_is_noticed_and_made_again(
    whole: Path, tmp_path: Path, lab_model: EditableModel, name: str, damage: Callable[[Path, random.Random], None]
) -> None:
    folder, messages = copied(whole, tmp_path), list[str]()
    damage(folder / "checkpoints" / "000004" / name, random.Random(name))
    outcome = run(tmp_path, spec({}, **SHORT), lab_model, messages=messages)
    assert outcome.status == "complete" and results(folder) == results(whole)
    assert any("The save at 4 edits is damaged" in message for message in messages), messages
    assert not run(tmp_path, spec({}, **SHORT), lab_model).stopped


@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_half_a_journal_of_a_finished_run_is_noticed_and_made_again(
    whole: Path, tmp_path: Path, lab_model: EditableModel, kept: float
) -> None:
    folder, messages = copied(whole, tmp_path), list[str]()
    journal = folder / "events.jsonl"
    data = journal.read_bytes()
    journal.write_bytes(data[: int(kept * len(data))])
    outcome = run(tmp_path, spec({}, **SHORT), lab_model, messages=messages)
    assert outcome.status == "complete" and results(folder).items() >= results(whole).items()
    assert any("does not tell of batch" in message for message in messages), messages
    told = [event["index"] for event in read_events(journal) if event["event"] == "batch"]
    before = [event["index"] for event in read_events(whole / "events.jsonl") if event["event"] == "batch"]
    assert sorted(set(told)) == before
    again = list[str]()
    run(tmp_path, spec({}, **SHORT), lab_model, messages=again)
    assert again == []


@pytest.mark.parametrize("name", ["result.json", "environment.json", "events.jsonl"])
@pytest.mark.parametrize("damage", [flip_a_letter, empty])
def test_damaged_records_of_a_finished_run_are_noticed_and_made_again(
    whole: Path, tmp_path: Path, lab_model: EditableModel, name: str, damage: Callable[[Path], None]
) -> None:
    folder, messages = copied(whole, tmp_path), list[str]()
    damage(folder / name)
    assert run(tmp_path, spec({}, **SHORT), lab_model, messages=messages).status == "complete"
    assert any(f"{name} is damaged" in message for message in messages), messages
    assert results(folder) == results(whole)
    assert read_run_folder(folder, "").problems == []
    again = list[str]()
    run(tmp_path, spec({}, **SHORT), lab_model, messages=again)
    assert again == []


def test_a_journal_that_grew_after_the_end_is_whole(whole: Path, tmp_path: Path, lab_model: EditableModel) -> None:
    folder, messages = copied(whole, tmp_path), list[str]()
    (folder / "spec.json").unlink()
    run(tmp_path, spec({}, **SHORT), lab_model, messages=messages)
    assert [message for message in messages if "spec.json was missing" not in message] == []
    assert len(read_events(folder / "events.jsonl")) == len(read_events(whole / "events.jsonl")) + 1
    assert read_run_folder(folder, "").problems == []
    again = list[str]()
    run(tmp_path, spec({}, **SHORT), lab_model, messages=again)
    assert again == []


def test_a_finished_run_of_an_older_release_stays_readable_and_is_sealed_by_run(
    whole: Path, tmp_path: Path, lab_model: EditableModel
) -> None:
    folder, messages = copied(whole, tmp_path), list[str]()
    manifest = folder / "manifest.json"
    value = json.loads(manifest.read_bytes())
    for name in ("result.json", "environment.json", "events.jsonl"):
        del value["files"][name]
    manifest.write_text(json.dumps(value))
    assert read_run_folder(folder, "").problems == []
    run(tmp_path, spec({}, **SHORT), lab_model, messages=messages)
    assert messages == []
    assert json.loads(manifest.read_bytes()) == json.loads((whole / "manifest.json").read_bytes())


def test_an_unreadable_line_of_a_journal_does_not_keep_a_run_from_being_submitted(
    whole: Path, tmp_path: Path, lab_model: EditableModel
) -> None:
    folder, messages = copied(whole, tmp_path), list[str]()
    (folder / "result.json").unlink()
    journal = folder / "events.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], b'{"time": "20\xff\n', *lines[1:]]))
    run(tmp_path, spec({}, **SHORT), lab_model, messages=messages)
    assert any("1 unreadable lines" in message for message in messages)
    assert read_run_folder(folder, "").problems == []


def test_half_a_journal_of_a_collapsed_run_is_made_again_up_to_its_collapse(
    tmp_path: Path, lab_model: EditableModel
) -> None:
    collapsing = spec({"nan_at": 103}, **SHORT)
    first = run(tmp_path, collapsing, lab_model)
    (first.folder / "events.jsonl").write_bytes(b"")
    second = run(tmp_path, collapsing, lab_model)
    assert (second.status, second.edits, second.reason) == (first.status, first.edits, first.reason)


def test_damaged_early_scores_are_computed_anew(whole: Path, tmp_path: Path, lab_model: EditableModel) -> None:
    folder, messages = copied(whole, tmp_path), list[str]()
    shutil.rmtree(folder / "checkpoints" / "000002")
    flip(folder / "scores" / "000002" / "probes.parquet", 300)
    run(tmp_path, spec({}, **SHORT), lab_model, messages=messages)
    assert any("scores at 2 edits are damaged" in m for m in messages)
    assert any("No good save up to 2 edits" in m for m in messages)
    assert results(folder) == results(whole)
    assert sum(event["event"] == "batch" for event in read_events(folder / "events.jsonl")) == 6


@pytest.mark.parametrize("name", ["spec.json", "cases.parquet", "probes.parquet", "environment.json", "result.json"])
def test_missing_files_are_written_anew(whole: Path, tmp_path: Path, lab_model: EditableModel, name: str) -> None:
    folder = copied(whole, tmp_path)
    (folder / name).unlink()
    run(tmp_path, spec({}, **SHORT), lab_model)
    assert results(folder) == results(whole)


def test_torn_journal_line_is_dropped(whole: Path, tmp_path: Path, lab_model: EditableModel) -> None:
    folder = copied(whole, tmp_path)
    (folder / "result.json").unlink()
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"time": "2026-01-01T00:00:00+00:00", "event": "ba')
    run(tmp_path, spec({}, **SHORT), lab_model)
    lines = (folder / "events.jsonl").read_text().splitlines()
    assert all(json.loads(line) for line in lines)


FAULTS: list[Any] = []


def _fault(event: str, arguments: tuple[object, ...]) -> None:
    if event == "palimpsest.files" and FAULTS:
        FAULTS[-1](*arguments)


sys.addaudithook(_fault)


@contextmanager
def full_disk_at(operation: int) -> Iterator[list[int]]:
    seen = [0]

    def fail(name: str, path: str) -> None:
        seen[0] += 1
        if seen[0] >= operation:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    FAULTS.append(fail)
    try:
        yield seen
    finally:
        FAULTS.pop()


def test_full_disk_loses_nothing(whole: Path, tmp_path: Path, lab_model: EditableModel) -> None:
    with full_disk_at(10**9) as seen:
        run(tmp_path / "count", spec({}, **SHORT), lab_model)
    for operation in random.Random(5).sample(range(1, seen[0] + 1), 8):
        home = tmp_path / str(operation)
        with full_disk_at(operation), pytest.raises(MissingResource, match=r"The disk of .* is full: .* MB are needed"):
            run(home, spec({}, **SHORT), lab_model)
        outcome = run(home, spec({}, **SHORT), lab_model)
        assert results(outcome.folder) == results(whole), operation
        assert not list(outcome.folder.rglob(".*.partial"))


def test_too_little_space_is_seen_before_writing(
    tmp_path: Path, lab_model: EditableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 100_000

    monkeypatch.setattr(atomic_files.shutil, "disk_usage", lambda path: Usage)
    with pytest.raises(MissingResource, match=r"0\.1 MB are available"):
        run(tmp_path, spec({}, **SHORT), lab_model)
    monkeypatch.undo()
    assert run(tmp_path, spec({}, **SHORT), lab_model).status == "complete"


def test_a_full_disk_while_statistics_are_kept_is_not_blamed_on_the_editor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise SafetensorError('Io error: Os { code: 28, kind: StorageFull, message: "No space left on device" }')

    course: dict[str, Any] = {"edits": 2, "batch_size": 2, "checkpoints": (0, 2)}
    how = {"make_editor": lambda: build_editor("memit", MEMIT)}
    with monkeypatch.context() as patch:
        patch.setattr("safetensors.torch.save_file", full)
        with pytest.raises(MissingResource, match=r"The disk of .* is full"):
            run(tmp_path, spec({}, **course), loaded(tmp_path / "models"), **how)
    assert not list(tmp_path.glob("runs/*/result.json")), "the run has not failed, it can go on"
    assert run(tmp_path, spec({}, **course), loaded(tmp_path / "models"), **how).status == "complete"


class Unlucky(Nudge):
    """An editor in whose third batch something is raised, by itself or by what it calls."""

    raises: BaseException = OSError()

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        if int(self.count) == 2:
            raise self.raises
        return super().edit(batch)


OF_THE_MACHINE = (
    *(OSError(number, os.strerror(number), "/x/cache") for number in (errno.ENOSPC, errno.EROFS, errno.EMFILE)),
    PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/x/cache"),
    SafetensorError("Error while serializing: I/O error: Permission denied (os error 13)"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
)
OF_THE_EDITOR = (
    FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "mine.txt"),
    IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), "mine"),
    OSError("mine"),
)


@pytest.mark.parametrize("error", OF_THE_MACHINE, ids=str)
def test_a_machine_that_lacks_something_within_an_editor_is_not_blamed_on_the_editor(
    tmp_path: Path, lab_model: EditableModel, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(Unlucky, "raises", error)
    with pytest.raises(MissingResource, match=r"Give|Close|Free|Raise"):
        run(tmp_path, spec({}, **SHORT), lab_model, make_editor=lambda: Unlucky(NudgeConfig()))
    assert not list(tmp_path.glob("runs/*/result.json")), "the run has not failed, it can go on"


@pytest.mark.parametrize("error", OF_THE_EDITOR, ids=str)
def test_an_editors_own_missing_file_is_blamed_on_the_editor(
    tmp_path: Path, lab_model: EditableModel, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(Unlucky, "raises", error)
    outcome = run(tmp_path, spec({}, **SHORT), lab_model, make_editor=lambda: Unlucky(NudgeConfig()))
    assert (outcome.status, outcome.edits) == ("failed", 2)
    assert "mine" in str(outcome.reason) and "in batch 2" in str(outcome.reason)
