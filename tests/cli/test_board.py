"""The table of all runs: what it shows on a wide and on a narrow terminal, and the same as lines in a log."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console

from palimpsest.cli.board import LiveBoard, PlainBoard
from tests.cli.test_many_runs import FT_L, MEMIT, planned

RUNS = planned(MEMIT, FT_L)
FIRST, SECOND = (run.spec.id for run in RUNS)
COURSE: tuple[tuple[str, Mapping[str, Any]], ...] = (
    (FIRST, {"event": "here"}),
    (FIRST, {"event": "phase", "what": "collecting key statistics"}),
    (SECOND, {"event": "here"}),
    (SECOND, {"event": "started", "run": SECOND, "editor": "ft-l", "model": "m", "planned": 100, "edits": 0}),
    (SECOND, {"event": "batch", "edits": 20, "seconds_edit": 10.0}),
    (SECOND, {"event": "scores", "edits": 20, "scores": {"score_argmax": 41.2, "efficacy_argmax": 91.0}}),
    (FIRST, {"event": "warning", "message": "killed by signal 9"}),
)


@pytest.mark.parametrize("width", [100, 60])
def test_every_run_its_pace_and_its_score_are_seen_and_no_line_is_too_long(width: int) -> None:
    stream = io.StringIO()
    board = LiveBoard(RUNS, Console(file=stream, force_terminal=True, width=width))
    for run, event in COURSE:
        board.tell(run, event)
    board.close()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", re.sub(r"\r|\x1b\[\d*A", "\n", stream.getvalue()))
    lines = [line for line in text.splitlines() if line.strip()]
    assert f"{FIRST}  killed by signal 9" in lines, "warnings stand above the table"
    frame = lines[-3:]
    assert frame[0].split() == [*(["run"] if width == 100 else []), "editor", "edits", "now", "score"]
    assert re.search(r"memit +0/100 +collecting key statistics", frame[1])
    assert re.search(r"ft-l +20/100 +2\.00 edits/s, 40 s left +41\.2 % at 20", frame[2])
    assert max(map(len, frame)) <= width


def test_a_log_has_a_line_for_each_checkpoint_with_the_name_of_its_run() -> None:
    stream = io.StringIO()
    board = PlainBoard(RUNS, stream=stream)
    for run, event in COURSE:
        board.tell(run, event)
    assert stream.getvalue().splitlines() == [
        f"{SECOND} ft-l  100 edits to do",
        f"{SECOND} ft-l  checkpoint 20: score_argmax 41.2 %, efficacy_argmax 91.0 %, 2.00 edits/s, editing left: 40 s",
        f"{FIRST} memit  killed by signal 9",
    ]
