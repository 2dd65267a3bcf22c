"""The run in one process: resuming, damage, full disks, failing editors, collapse, sharing."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from palimpsest.harness import executor, files
from palimpsest.harness.checkpoint import Save, Saves
from palimpsest.harness.errors import MissingResource, RunBusy, RunFailed, UsageError
from palimpsest.harness.guard import parameter_digests
from palimpsest.harness.interrupts import Interrupts
from palimpsest.harness.journal import read_events
from palimpsest.harness.planning import PlannedRun
from palimpsest.harness.pristine import PristineScores
from palimpsest.harness.progress import SilentProgress
from palimpsest.harness.replay import replay
from palimpsest.harness.requests import EditTask
from palimpsest.harness.runstate import predict, run_state
from tests.harness.run_lab import (
    EditableModel,
    Nudge,
    NudgeConfig,
    TinyInstruments,
    cases,
    results,
    run,
    spec,
    tiny_model,
)

SHORT: dict[str, Any] = {"edits": 4, "checkpoints": (0, 2, 4)}


@pytest.fixture(scope="module")
def model() -> EditableModel:
    return tiny_model()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, model: EditableModel) -> Path:
    """The folder of an uninterrupted run; copied by the tests."""
    return run(tmp_path_factory.mktemp("whole"), spec({}, **SHORT), model).folder


def copied(whole: Path, home: Path) -> Path:
    return Path(shutil.copytree(whole, home / "runs" / whole.name))


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 0x15
    path.write_bytes(data)


def test_a_complete_run_is_not_done_again(whole: Path, tmp_path: Path, model: EditableModel) -> None:
    folder = copied(whole, tmp_path)
    before = (folder / "events.jsonl").read_bytes()
    outcome = run(tmp_path, spec({}, **SHORT), model)
    assert (outcome.status, outcome.edits) == ("complete", 4)
    assert (folder / "events.jsonl").read_bytes() == before


def test_what_a_run_folder_holds(whole: Path) -> None:
    events = [event["event"] for event in read_events(whole / "events.jsonl")]
    assert events == [
        "run_started", "checkpoint", "batch", "batch", "save", "checkpoint",
        "batch", "batch", "save", "checkpoint", "run_finished",
    ]  # fmt: skip
    assert json.loads((whole / "result.json").read_text()) == {"status": "complete", "edits": 4, "reason": None}
    (segment,) = json.loads((whole / "environment.json").read_text())["segments"]
    assert segment["packages"]["torch"] and segment["threads"] == torch.get_num_threads()
    assert sorted(path.name for path in (whole / "scores").iterdir()) == ["000000", "000002", "000004"]


def test_the_store_accepts_the_folder(whole: Path, tmp_path: Path) -> None:
    from palimpsest.results.folders import folder_digest, read_run_folder

    found = read_run_folder(whole, folder_digest(whole))
    assert found.problems == []
    assert list(found.checkpoints) == [0, 2, 4]


def test_limit_then_continue(whole: Path, tmp_path: Path, model: EditableModel) -> None:
    limited = run(tmp_path, spec({}, **SHORT), model, limit=3)
    assert (limited.status, limited.edits, limited.stopped) == ("partial", 3, None)
    assert str(run_state(tmp_path, limited.spec)) == "partial at 3"
    outcome = run(tmp_path, spec({}, **SHORT), model)
    mine, theirs = results(outcome.folder), results(whole)
    assert {k: v for k, v in mine.items() if "000003" not in k} == {k: v for k, v in theirs.items() if k in mine}
    assert any(event["event"] == "run_resumed" for event in read_events(outcome.folder / "events.jsonl"))


def test_limit_at_a_checkpoint_scores_it(tmp_path: Path, model: EditableModel) -> None:
    outcome = run(tmp_path, spec({}, **SHORT), model, limit=2)
    assert (outcome.folder / "scores" / "000002" / "manifest.json").exists()
    assert not (outcome.folder / "scores" / "000004").exists()


@pytest.mark.parametrize("seed", range(3))
def test_every_flipped_file_is_found_and_healed(whole: Path, tmp_path: Path, model: EditableModel, seed: int) -> None:
    """Flip bytes in each file of a finished run in turn: the next call tells, repairs, and gives the same bits."""
    wanted, dice = results(whole), random.Random(seed)
    names = [str(p.relative_to(whole)) for p in sorted(whole.rglob("*")) if p.is_file() and p.name != "lock"]
    names = [name for name in names if name != "events.jsonl" and "checkpoints" not in name]
    for number, name in enumerate(dice.sample(names, 6)):
        home = tmp_path / str(number)
        folder, messages = copied(whole, home), list[str]()
        flip(folder / name, dice.randrange(10_000))
        run(home, spec({}, **SHORT), model, messages=messages)
        assert results(folder).items() >= wanted.items(), name
        if not name.endswith(".json") or "manifest" in name:
            assert any(name.rpartition("/")[0] in message for message in messages), (name, messages)


@pytest.mark.parametrize("name", ["weights.safetensors", "state.safetensors", "manifest.json"])
@pytest.mark.parametrize("both", [False, True])
def test_damaged_saves_fall_back(whole: Path, tmp_path: Path, model: EditableModel, name: str, both: bool) -> None:
    folder, messages = copied(whole, tmp_path), list[str]()
    (folder / "result.json").unlink()
    shutil.rmtree(folder / "scores" / "000004")
    flip(folder / "checkpoints" / "000004" / name, 40)
    if both:
        flip(folder / "checkpoints" / "000002" / name, 41)
    outcome = run(tmp_path, spec({}, **SHORT), model, messages=messages)
    assert outcome.status == "complete"
    lost = "checkpoints/000002" if both else "nothing"
    assert results(folder) == {k: v for k, v in results(whole).items() if not k.startswith(lost)}
    assert any("The save at 4 edits is damaged" in m and name in m for m in messages), messages
    assert any("starts again from its first edit" in m for m in messages) == both
    assert not any("does not repeat itself" in m for m in messages)
    assert (folder / "checkpoints" / "000004.damaged").is_dir()


def test_damaged_early_scores_are_computed_anew(whole: Path, tmp_path: Path, model: EditableModel) -> None:
    folder, messages = copied(whole, tmp_path), list[str]()
    shutil.rmtree(folder / "checkpoints" / "000002")
    flip(folder / "scores" / "000002" / "probes.parquet", 300)
    run(tmp_path, spec({}, **SHORT), model, messages=messages)
    assert any("scores at 2 edits are damaged" in m for m in messages)
    assert any("No good save up to 2 edits" in m for m in messages)
    assert results(folder) == results(whole)
    assert sum(event["event"] == "batch" for event in read_events(folder / "events.jsonl")) == 6


@pytest.mark.parametrize("name", ["spec.json", "cases.parquet", "probes.parquet", "environment.json", "result.json"])
def test_missing_files_are_written_anew(whole: Path, tmp_path: Path, model: EditableModel, name: str) -> None:
    folder = copied(whole, tmp_path)
    (folder / name).unlink()
    run(tmp_path, spec({}, **SHORT), model)
    assert results(folder) == results(whole)


def test_torn_journal_line_is_dropped(whole: Path, tmp_path: Path, model: EditableModel) -> None:
    folder = copied(whole, tmp_path)
    (folder / "result.json").unlink()
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"time": "2026-01-01T00:00:00+00:00", "event": "ba')
    run(tmp_path, spec({}, **SHORT), model)
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


def test_full_disk_loses_nothing(whole: Path, tmp_path: Path, model: EditableModel) -> None:
    with full_disk_at(10**9) as seen:
        run(tmp_path / "count", spec({}, **SHORT), model)
    for operation in random.Random(5).sample(range(1, seen[0] + 1), 8):
        home = tmp_path / str(operation)
        with full_disk_at(operation), pytest.raises(MissingResource, match=r"The disk of .* is full: .* MB are needed"):
            run(home, spec({}, **SHORT), model)
        outcome = run(home, spec({}, **SHORT), model)
        assert results(outcome.folder) == results(whole), operation
        assert not list(outcome.folder.rglob(".*.partial"))


def test_too_little_space_is_seen_before_writing(
    tmp_path: Path, model: EditableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 100_000

    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: Usage)
    with pytest.raises(MissingResource, match=r"0\.1 MB are available"):
        run(tmp_path, spec({}, **SHORT), model)
    monkeypatch.undo()
    assert run(tmp_path, spec({}, **SHORT), model).status == "complete"


def test_second_process_is_refused(tmp_path: Path, model: EditableModel) -> None:
    folder = tmp_path / "runs" / spec({}, **SHORT).id
    folder.mkdir(parents=True)
    code = "import fcntl,sys; f=open(sys.argv[1],'a'); fcntl.flock(f,2); print('held',flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(folder / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with pytest.raises(RunBusy, match="being worked on by another process"):
        run(tmp_path, spec({}, **SHORT), model)
    holder.communicate("")
    assert run(tmp_path, spec({}, **SHORT), model).status == "complete"


def test_failing_editor_fails_its_run_only(tmp_path: Path, model: EditableModel) -> None:
    before = parameter_digests(tiny_model().model)
    outcome = run(tmp_path, spec({"fail_at": 103}, **SHORT), model)
    assert (outcome.status, outcome.edits) == ("failed", 3)
    assert outcome.reason == ("Editor nudge (palimpsest-bench 0.1.0) failed in batch 3: KeyError: 'no such thing'")
    assert "Traceback" in read_events(outcome.folder / "events.jsonl")[-1]["traceback"]
    assert str(run_state(tmp_path, outcome.spec)) == "failed at 3"
    again = run(tmp_path, spec({"fail_at": 103}, **SHORT), model)
    assert again.status == "failed"
    assert run(tmp_path, spec({}, **SHORT), model).status == "complete"
    from palimpsest.harness.editing import restore_pristine

    restore_pristine(model)
    assert parameter_digests(model.model) == before


def test_trespassing_editor_is_named_with_the_parameter(tmp_path: Path) -> None:
    outcome = run(tmp_path, spec({"trespass_at": 102}, **SHORT), tiny_model())
    assert (outcome.status, outcome.edits) == ("failed", 2)
    assert "changed model.norm.weight, which its writes() does not name" in str(outcome.reason)


def test_collapse_is_a_result(tmp_path: Path, model: EditableModel) -> None:
    outcome = run(tmp_path, spec({"nan_at": 103}, **SHORT), model)
    assert (outcome.status, outcome.edits) == ("collapsed", 3)
    assert "mlp.down_proj.weight holds values that are not finite" in str(outcome.reason)
    assert not (outcome.folder / "scores" / "000004").exists()
    again = run(tmp_path, spec({"nan_at": 103}, **SHORT), model)
    assert (again.status, again.edits, again.reason) == (outcome.status, outcome.edits, outcome.reason)
    shutil.rmtree(outcome.folder / "scores" / "000002")
    assert run(tmp_path, spec({"nan_at": 103}, **SHORT), model).status == "collapsed"


class _SignalAfter(SilentProgress):
    def __init__(self, number: int, at: int) -> None:
        super().__init__()
        self.number, self.at = number, at

    def batch(self, edits: int, size: int, seconds: float) -> None:
        if edits == self.at:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_a_signal_finishes_the_batch_and_saves(
    whole: Path, tmp_path: Path, model: EditableModel, number: int, word: str
) -> None:
    before = signal.getsignal(number)
    with Interrupts() as interrupts:
        progress = _SignalAfter(number, 3)
        outcome = run(tmp_path, spec({}, **SHORT), model, interrupts=interrupts, progress=progress)
    assert (outcome.status, outcome.stopped, outcome.edits) == ("partial", word, 3)
    assert signal.getsignal(number) == before
    final = results(run(tmp_path, spec({}, **SHORT), model).folder)
    assert {k: v for k, v in final.items() if "000003" not in k}.items() <= results(whole).items()


def test_pristine_scores_are_shared_and_verified(tmp_path: Path, model: EditableModel) -> None:
    first, second = spec({}, **SHORT), spec({"rate": 0.1}, **SHORT)
    shared = [PristineScores(tmp_path / "cache", s, {"torch": "1"}) for s in (first, second)]
    assert shared[0].folder == shared[1].folder
    counts = []
    for run_spec, scores in zip((first, second), shared, strict=True):
        instruments = TinyInstruments(model)
        run(tmp_path, run_spec, model, instruments=instruments, pristine_scores=scores)
        counts.append(len(instruments.scored))
    assert counts == [3, 2]
    flip(shared[0].folder / "answers.parquet", 99)
    assert shared[0].find() is None
    assert PristineScores(tmp_path / "cache", first, {"torch": "2"}).folder != shared[0].folder


def test_keep_all_saves(tmp_path: Path, model: EditableModel) -> None:
    outcome = run(tmp_path, spec({}, edits=6, checkpoints=(0, 2, 4, 6)), model, keep_checkpoints="all")
    names = sorted(path.name for path in (outcome.folder / "checkpoints").iterdir())
    assert names == ["000002", "000004", "000006"]


def test_time_is_predicted_from_past_runs(whole: Path, tmp_path: Path) -> None:
    copied(whole, tmp_path)
    assert predict(tmp_path, spec({}, **SHORT)).seconds == 0.0  # type: ignore[union-attr]
    estimate = predict(tmp_path, spec({"rate": 0.2}, edits=8, checkpoints=(0, 8)))
    assert estimate is not None and estimate.runs == 1 and 0 < estimate.seconds < 60
    assert predict(tmp_path / "empty", spec({})) is None


def test_replay_reaches_any_batch_boundary(whole: Path, model: EditableModel) -> None:
    run_spec = spec({}, **SHORT)

    def weights_at(edits: int) -> dict[str, torch.Tensor]:
        editing = replay(whole, run_spec, cases(4), edits, model=model, make_editor=lambda: Nudge(NudgeConfig()))
        return model.read_weights(editing.written)

    at_three = weights_at(3)
    saved = Saves(whole / "checkpoints", run_spec.id)
    for edits in (2, 4):
        stored = saved.read(Save(edits, whole / "checkpoints" / f"{edits:06d}"))[0]
        assert all(torch.equal(tensor, stored[name]) for name, tensor in weights_at(edits).items())
    shutil.copytree(whole, whole.parent / "cold", dirs_exist_ok=True)
    shutil.rmtree(whole.parent / "cold" / "checkpoints")
    editing = replay(
        whole.parent / "cold", run_spec, cases(4), 3, model=model, make_editor=lambda: Nudge(NudgeConfig())
    )
    assert all(torch.equal(tensor, at_three[name]) for name, tensor in model.read_weights(editing.written).items())
    with pytest.raises(UsageError, match=r"4 edits in batches of 1\. Near are 3 and 4"):
        weights_at(5)
    with pytest.raises(RunFailed, match="report differs"):
        replay(
            whole.parent / "cold", run_spec, cases(4), 3, model=model, make_editor=lambda: Nudge(NudgeConfig(rate=1.0))
        )


def test_runs_of_one_process_share_a_model_that_is_restored_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []

    def load(source: str, fingerprint: str, home: Path, device: str) -> executor.LoadedModel:
        loads.append(source)
        fresh = tiny_model()
        return executor.LoadedModel(fresh, fingerprint, parameter_digests(fresh.model))

    monkeypatch.setattr(executor, "load", load)
    monkeypatch.setattr(executor, "build_editor", lambda name, config: Nudge(NudgeConfig(**config)))
    task = EditTask("tiny", "counterfact", tuple(cases(4)))
    plans = [
        PlannedRun(spec(config, **SHORT).model_copy(update={"abilities": ()}), "tiny", task)
        for config in ({}, {"fail_at": 101}, {"trespass_at": 100}, {"rate": 0.1})
    ]
    outcomes = list(executor.execute(plans, tmp_path, progress=SilentProgress()))
    assert [outcome.status for outcome in outcomes] == ["complete", "failed", "failed", "complete"]
    assert len(loads) == 2  # the third run left a parameter behind that cannot be undone
    alone = next(executor.execute(plans[3:], tmp_path / "alone", progress=SilentProgress()))
    assert results(alone.folder) == results(outcomes[3].folder)
    assert len(list((tmp_path / "models").glob("*/scores/*"))) == 1
    list(executor.execute(plans[:1], tmp_path, progress=SilentProgress()))
    assert len(loads) == 3  # a run that is done loads nothing
    moved = executor.move_aside(tmp_path, plans[0].spec)
    assert moved is not None and moved.parent == tmp_path / "replaced"
    assert str(run_state(tmp_path, plans[0].spec)) == "missing"


def test_cases_of_the_lab_are_distinct() -> None:
    assert len({case.request.case_id for case in cases()}) == 8
