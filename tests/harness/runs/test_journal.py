from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from palimpsest.harness.runs.journal import Journal, read_events


def test_append_and_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "events.jsonl")
    journal.append("batch", index=3, report={"values": {"loss": float("nan")}})
    (event,) = read_events(journal.path)
    assert event["event"] == "batch" and event["report"] == {"values": {"loss": "nan"}}
    assert datetime.fromisoformat(event["time"]).utcoffset() is not None


@pytest.mark.parametrize(
    ("torn", "count"),
    [(b'{"event": "sa', 1), (b'{"event": "save"}', 2), (b"\xff\xfe", 1), (b"", 1)],
)
def test_torn_last_line(tmp_path: Path, torn: bytes, count: int) -> None:
    path = tmp_path / "events.jsonl"
    Journal(path).append("first")
    path.write_bytes(path.read_bytes() + torn)
    assert len(read_events(path)) == count
    journal = Journal(path)
    journal.mend()
    journal.append("last")
    assert [event["event"] for event in read_events(path)][-1] == "last"
    assert len(path.read_bytes().splitlines()) == len(read_events(path)) == count + 1


def test_foreign_lines_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'[1]\nnonsense\n\n{"event": 3}\n{"event": "save", "edits": 4}\n' + b"[" * 5000 + b"\n")
    assert read_events(path) == [{"event": "save", "edits": 4}]
    assert read_events(tmp_path / "none.jsonl") == []
