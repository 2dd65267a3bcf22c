"""The run in one process: course, limits, signals, failing editors, collapse."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from palimpsest.harness.errors import ConfigError, MissingResource, RunBusy, UsageError
from palimpsest.harness.model.digests import parameter_digests
from palimpsest.harness.model.placement import Placement, use_threads
from palimpsest.harness.runs.journal import SilentProgress, read_events
from palimpsest.harness.runs.reading import run_state
from palimpsest.harness.system.interrupts import Interrupts
from tests.labs.run_lab import (
    SHORT,
    EditableModel,
    Nudge,
    NudgeConfig,
    cases,
    copied,
    results,
    run,
    spec,
    tiny_model,
)


def test_a_complete_run_is_not_done_again(whole: Path, tmp_path: Path, lab_model: EditableModel) -> None:
    folder = copied(whole, tmp_path)
    before = (folder / "events.jsonl").read_bytes()
    outcome = run(tmp_path, spec({}, **SHORT), lab_model)
    assert (outcome.status, outcome.edits) == ("complete", 4)
    assert (folder / "events.jsonl").read_bytes() == before


def test_what_a_run_folder_holds(whole: Path) -> None:
    events = [event["event"] for event in read_events(whole / "events.jsonl")]
    assert events == [
        "run_started", "prepared", "checkpoint", "batch", "batch", "save", "checkpoint",
        "batch", "batch", "save", "checkpoint", "run_finished",
    ]  # fmt: skip
    assert json.loads((whole / "result.json").read_text()) == {"status": "complete", "edits": 4, "reason": None}
    (segment,) = json.loads((whole / "environment.json").read_text())["segments"]
    assert segment["packages"]["torch"] and segment["threads"] == torch.get_num_threads()
    assert sorted(path.name for path in (whole / "scores").iterdir()) == ["000000", "000002", "000004"]


def test_the_store_accepts_the_folder(whole: Path, tmp_path: Path) -> None:
    from palimpsest.results.reading.run_folder import folder_digest, read_run_folder

    found = read_run_folder(whole, folder_digest(whole))
    assert found.problems == []
    assert list(found.checkpoints) == [0, 2, 4]


def test_limit_then_continue(whole: Path, tmp_path: Path, lab_model: EditableModel) -> None:
    limited = run(tmp_path, spec({}, **SHORT), lab_model, limit=3)
    assert (limited.status, limited.edits, limited.stopped) == ("partial", 3, None)
    assert str(run_state(tmp_path, limited.spec)) == "partial at 3"
    outcome = run(tmp_path, spec({}, **SHORT), lab_model)
    mine, theirs = results(outcome.folder), results(whole)
    assert {k: v for k, v in mine.items() if "000003" not in k} == {k: v for k, v in theirs.items() if k in mine}
    assert any(event["event"] == "run_resumed" for event in read_events(outcome.folder / "events.jsonl"))


def test_limit_at_a_checkpoint_scores_it(tmp_path: Path, lab_model: EditableModel) -> None:
    outcome = run(tmp_path, spec({}, **SHORT), lab_model, limit=2)
    assert (outcome.folder / "scores" / "000002" / "manifest.json").exists()
    assert not (outcome.folder / "scores" / "000004").exists()


def test_second_process_is_refused(tmp_path: Path, lab_model: EditableModel) -> None:
    folder = tmp_path / "runs" / spec({}, **SHORT).id
    folder.mkdir(parents=True)
    code = "import fcntl,sys; f=open(sys.argv[1],'a'); fcntl.flock(f,2); print('held',flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(folder / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with pytest.raises(RunBusy, match="being worked on by another process"):
        run(tmp_path, spec({}, **SHORT), lab_model)
    holder.communicate("")
    assert run(tmp_path, spec({}, **SHORT), lab_model).status == "complete"


@pytest.mark.parametrize("error", [ConfigError("no such composition"), MissingResource("no such GPU")])
def test_a_run_that_cannot_begin_leaves_no_folder_and_is_not_called_partial(
    tmp_path: Path, lab_model: EditableModel, error: Exception
) -> None:
    def refuse() -> Any:
        raise error

    with pytest.raises(type(error)):
        run(tmp_path, spec({}, **SHORT), lab_model, make_editor=refuse)
    assert str(run_state(tmp_path, spec({}, **SHORT))) == "missing"
    assert not list((tmp_path / "runs").iterdir())
    run(tmp_path, spec({}, **SHORT), lab_model, limit=3)
    with pytest.raises(type(error)):
        run(tmp_path, spec({}, **SHORT), lab_model, make_editor=refuse)
    assert str(run_state(tmp_path, spec({}, **SHORT))) == "partial at 3", "work stays"
    assert run(tmp_path, spec({}, **SHORT), lab_model).status == "complete"


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_finished_run_is_done_in_a_home_that_may_not_be_written(
    whole: Path, tmp_path: Path, lab_model: EditableModel, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(path: Path, work: str) -> Any:
        raise OSError(number, os.strerror(number), str(path))

    folder = copied(whole, tmp_path)
    monkeypatch.setattr("palimpsest.harness.runs.folder.locked", refuse)
    assert run(tmp_path, spec({}, **SHORT), lab_model).status == "complete"
    (folder / "result.json").unlink()
    with pytest.raises(OSError):
        run(tmp_path, spec({}, **SHORT), lab_model)


def test_failing_editor_fails_its_run_only(tmp_path: Path, lab_model: EditableModel) -> None:
    before = parameter_digests(tiny_model().model)
    outcome = run(tmp_path, spec({"fail_at": 103}, **SHORT), lab_model)
    assert (outcome.status, outcome.edits) == ("failed", 3)
    assert outcome.reason == ("Editor nudge (palimpsest-bench 0.1.0) failed in batch 3: KeyError: 'no such thing'")
    assert "Traceback" in read_events(outcome.folder / "events.jsonl")[-1]["traceback"]
    assert str(run_state(tmp_path, outcome.spec)) == "failed at 3"
    again = run(tmp_path, spec({"fail_at": 103}, **SHORT), lab_model)
    assert again.status == "failed"
    assert run(tmp_path, spec({}, **SHORT), lab_model).status == "complete"
    from palimpsest.harness.plugins.session import restore_pristine

    restore_pristine(lab_model)
    assert parameter_digests(lab_model.model) == before


def test_trespassing_editor_is_named_with_the_parameter(tmp_path: Path) -> None:
    outcome = run(tmp_path, spec({"trespass_at": 102}, **SHORT), tiny_model())
    assert (outcome.status, outcome.edits) == ("failed", 2)
    assert "changed model.norm.weight, which its writes() does not name" in str(outcome.reason)


def test_collapse_is_a_result(tmp_path: Path, lab_model: EditableModel) -> None:
    outcome = run(tmp_path, spec({"nan_at": 103}, **SHORT), lab_model)
    assert (outcome.status, outcome.edits) == ("collapsed", 3)
    assert "mlp.down_proj.weight holds values that are not finite" in str(outcome.reason)
    assert not (outcome.folder / "scores" / "000004").exists()
    again = run(tmp_path, spec({"nan_at": 103}, **SHORT), lab_model)
    assert (again.status, again.edits, again.reason) == (outcome.status, outcome.edits, outcome.reason)
    shutil.rmtree(outcome.folder / "scores" / "000002")
    assert run(tmp_path, spec({"nan_at": 103}, **SHORT), lab_model).status == "collapsed"


class _SignalAfter(SilentProgress):
    def __init__(self, number: int, at: int) -> None:
        super().__init__()
        self.number, self.at = number, at

    def tell(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "batch" and event["edits"] == self.at:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_a_signal_finishes_the_batch_and_saves(
    whole: Path, tmp_path: Path, lab_model: EditableModel, number: int, word: str
) -> None:
    before = signal.getsignal(number)
    with Interrupts() as interrupts:
        progress = _SignalAfter(number, 3)
        outcome = run(tmp_path, spec({}, **SHORT), lab_model, interrupts=interrupts, progress=progress)
    assert (outcome.status, outcome.stopped, outcome.edits) == ("partial", word, 3)
    assert signal.getsignal(number) == before
    final = results(run(tmp_path, spec({}, **SHORT), lab_model).folder)
    assert {k: v for k, v in final.items() if "000003" not in k}.items() <= results(whole).items()


def test_keep_all_saves(tmp_path: Path, lab_model: EditableModel) -> None:
    outcome = run(tmp_path, spec({}, edits=6, checkpoints=(0, 2, 4, 6)), lab_model, keep_checkpoints="all")
    names = sorted(path.name for path in (outcome.folder / "checkpoints").iterdir())
    assert names == ["000002", "000004", "000006"]


def test_cases_of_the_lab_are_distinct() -> None:
    assert len({case.request.case_id for case in cases()}) == 8


def test_a_run_begun_with_one_number_of_threads_is_not_continued_with_another(
    whole: Path, tmp_path: Path, lab_model: EditableModel
) -> None:
    threads = torch.get_num_threads()
    run(tmp_path, spec({}, **SHORT), lab_model, limit=2)
    before = results(tmp_path / "runs" / whole.name)
    try:
        torch.set_num_threads(threads + 1)
        with pytest.raises(UsageError, match=rf"begun with --threads {threads}, .* --threads {threads + 1}"):
            run(tmp_path, spec({}, **SHORT), lab_model)
    finally:
        torch.set_num_threads(threads)
    assert results(tmp_path / "runs" / whole.name) == before
    assert results(run(tmp_path, spec({}, **SHORT), lab_model).folder) == results(whole)


def test_on_the_cpu_a_model_is_loaded_for_one_thread_unless_more_are_asked_for() -> None:
    threads = torch.get_num_threads()
    try:
        for placement, expected in [(Placement(), 1), (Placement(threads=2), 2), (Placement(), 1)]:
            use_threads(placement)
            assert torch.get_num_threads() == expected
    finally:
        torch.set_num_threads(threads)


class Codebook(Nudge):
    """An editor that works beside the weights."""

    def writes(self) -> list[str]:
        return []


def test_an_editor_without_weights_is_refused_by_an_engine_that_takes_weights_before_its_first_edit(
    tmp_path: Path,
) -> None:
    made = spec({}, **SHORT)
    with pytest.raises(UsageError, match="Engine vllm: editor nudge writes no weights.*Use --engine hf"):
        run(tmp_path, made, make_editor=lambda: Codebook(NudgeConfig()), provenance={"engine": "vllm"})
    assert not any(event["event"] == "batch" for event in read_events(tmp_path / "runs" / made.id / "events.jsonl"))
    assert not (tmp_path / "runs" / made.id / "result.json").exists()
