from __future__ import annotations

import io

from palimpsest.cli.progress import PlainProgress, make_progress
from palimpsest.harness.system.environment import changed_environment, environment_segment


def test_plain_lines_at_checkpoints_and_every_minute() -> None:
    now = [0.0]
    stream = io.StringIO()
    progress = PlainProgress(stream, clock=lambda: now[0])
    progress.tell({"event": "started", "run": "0123456789ab", "editor": "memit", "planned": 100, "edits": 0})
    for edits in range(10, 60, 10):
        now[0] += 25.0
        progress.tell({"event": "batch", "edits": edits, "seconds_edit": 25.0})
    progress.tell({"event": "scores", "edits": 50, "scores": {"score_argmax": 71.26}})
    progress.tell({"event": "ended", "status": "collapsed", "edits": 50, "reason": "logits are not finite"})
    assert stream.getvalue().splitlines() == [
        "0123456789ab memit  100 edits to do",
        "0123456789ab memit  30 of 100 edits, 0.40 edits/s, editing left: 3 min",
        "0123456789ab memit  checkpoint 50: score_argmax 71.3 %, 0.40 edits/s, editing left: 2 min",
        "0123456789ab memit  collapsed at 50 edits: logits are not finite",
    ]


def test_quiet_still_warns(capsys) -> None:  # type: ignore[no-untyped-def]
    progress = make_progress(quiet=True)
    progress.tell({"event": "scores", "edits": 5, "scores": {}})
    progress.tell({"event": "warning", "message": "The save at 5 edits is damaged."})
    assert capsys.readouterr().err == "The save at 5 edits is damaged.\n"
    assert isinstance(make_progress(stream=io.StringIO()), PlainProgress)


def test_environment_says_what_may_move_a_number() -> None:
    segment = environment_segment(["palimpsest", "run"], "palimpsest-bench")
    assert segment["command"] == "palimpsest run"
    assert segment["packages"]["palimpsest-bench"] == segment["palimpsest_version"]
    assert segment["cores"] >= 1
    later = segment | {"started_at": "later", "command": "other", "packages": segment["packages"] | {"numpy": "0.1"}}
    (change,) = changed_environment(segment, later)
    assert change.startswith("numpy ") and change.endswith(" → 0.1")
