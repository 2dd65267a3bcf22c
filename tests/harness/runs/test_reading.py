"""One reader of run folders: whoever asks where a run stands is told the same, and `run` goes on from there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from palimpsest.cli.run_folders import list_runs, summarise
from palimpsest.harness.errors import UsageError
from palimpsest.harness.runs.folder import RunFolder
from palimpsest.harness.runs.journal import read_events
from palimpsest.harness.runs.reading import run_state
from tests.labs.run_lab import SHORT, EditableModel, copied, run, spec


def stands(folder: Path) -> tuple[str, int]:
    """What `show` and `list` say."""
    summary = summarise(folder)
    (listed,) = list_runs(folder.parent.parent)
    assert (listed.status, listed.edits_done) == (summary.status, summary.edits_done)
    return summary.status, summary.edits_done


def planned(folder: Path) -> tuple[str, int]:
    """What `plan` and forecasts go by."""
    state = run_state(folder.parent.parent, spec({}, **SHORT))
    return state.status, state.edits


def test_a_save_journalled_whose_folder_is_gone_counts_for_nobody(
    whole: Path, tmp_path: Path, lab_model: EditableModel
) -> None:
    folder = copied(whole, tmp_path)
    (folder / "result.json").unlink()
    shutil.rmtree(folder / "scores" / "000004")
    shutil.rmtree(folder / "checkpoints")
    assert any(event["event"] == "save" for event in read_events(folder / "events.jsonl"))
    assert stands(folder) == planned(folder) == ("partial", 0)
    done = run(tmp_path, spec({}, **SHORT), lab_model)
    assert done.status == "complete"
    events = [event["event"] for event in read_events(folder / "events.jsonl")]
    assert "run_resumed" not in events, "the run began again, as was said"


def test_complete_at_three_of_four_edits_is_complete_for_nobody(
    whole: Path, tmp_path: Path, lab_model: EditableModel
) -> None:
    folder = copied(whole, tmp_path)
    (folder / "result.json").write_text(json.dumps({"status": "complete", "edits": 3, "reason": None}))
    assert stands(folder) == planned(folder) == ("partial", 4)
    assert "result.json" in str(summarise(folder).reason)
    assert RunFolder(tmp_path, spec({}, **SHORT)).ending() is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"status": "complete"}', '{"status": "done", "edits": 4, "reason": null}',
     '{"status": "failed", "edits": -1, "reason": "x"}', '{"status": "failed", "edits": 9, "reason": "x"}',
     '{"status": "failed", "edits": 2, "reason": 5}', '{"status": "failed", "edits": true, "reason": null}'],
)  # fmt: skip
def test_a_damaged_ending_is_no_ending_for_anybody(whole: Path, tmp_path: Path, content: str) -> None:
    folder = copied(whole, tmp_path)
    (folder / "result.json").write_text(content)
    assert stands(folder) == planned(folder) == ("partial", 4)
    assert RunFolder(tmp_path, spec({}, **SHORT)).ending() is None


def test_ended_runs_stand_where_they_ended(tmp_path: Path, lab_model: EditableModel) -> None:
    failed = run(tmp_path / "failed", spec({"fail_at": 103}, **SHORT), lab_model)
    assert stands(failed.folder) == ("failed", 3)
    collapsed = run(tmp_path / "collapsed", spec({"nan_at": 103}, **SHORT), lab_model)
    assert stands(collapsed.folder) == ("collapsed", 3)


def test_edits_beyond_where_a_run_stands_are_not_exported(whole: Path, tmp_path: Path) -> None:
    from palimpsest.harness.runs.replay import export_model
    from tests.labs.installed import INSTALLED

    folder = copied(whole, tmp_path)
    (folder / "result.json").unlink()
    shutil.rmtree(folder / "checkpoints" / "000004")
    assert stands(folder) == ("partial", 2)
    with pytest.raises(UsageError, match="has made 2 edits so far"):
        export_model(folder, 4, tmp_path / "out", installed=INSTALLED)
