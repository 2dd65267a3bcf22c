"""The journal of a run: one JSON object per line, appended and synced, readable after any crash."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.harness.runs.saves import STATE, WEIGHTS
from palimpsest.harness.system.atomic_files import announce, disk_errors

if TYPE_CHECKING:
    from palimpsest.harness.editor import EditReport

from palimpsest.harness.system.environment import utc_now
from palimpsest.harness.system.json_values import json_value


class Journal:
    """Appends events to a file. One process at a time may hold it."""

    def __init__(self, path: Path) -> None:
        """Open ``path`` for appending; a torn last line that a killed process left is removed."""
        self.path = path
        _mend(path)

    def append(self, event: str, **fields: Any) -> None:
        """Write one event and wait until it is on the disk.

        Raises:
            MissingResource: The disk is full.
        """
        line = (
            json.dumps({"time": utc_now(), "event": event, **json_value(fields, not_finite=str)}, allow_nan=False)
            + "\n"
        )
        data = line.encode()
        with disk_errors(self.path.parent, len(data)):
            announce("append", self.path)
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                while data:
                    data = data[os.write(handle, data) :]
                announce("fsync", self.path)
                os.fsync(handle)
            finally:
                os.close(handle)


def read_events(path: Path) -> list[dict[str, Any]]:
    """All events of a journal in order; unreadable lines are left out, a missing file has none."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return []
    events = []
    for line in lines:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            events.append(event)
    return events


def _mend(path: Path) -> None:
    """Leave the file empty or ending in a newline: complete a whole last line, cut a torn one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    if not data or data.endswith(b"\n"):
        return
    kept = data.rfind(b"\n") + 1
    try:
        json.loads(data[kept:])
    except ValueError:
        announce("truncate", path)
        os.truncate(path, kept)
        return
    with disk_errors(path.parent, 1), path.open("ab") as file:
        file.write(b"\n")


class Past:
    """Reports and checksums of an earlier process that worked on the same run."""

    def __init__(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Args: the journal's events so far."""
        self._batches = {e.get("index"): e.get("report") for e in events if e["event"] == "batch"}
        self._saves = {e.get("edits"): e.get("sha256") for e in events if e["event"] == "save"}
        done = [e.get("edits") for e in events if e["event"] in ("batch", "save")]
        self.edits = max((n for n in done if isinstance(n, int)), default=0)
        """Edits that were made before, saved or not."""
        self._told = False

    def unlike_batch(self, number: int, report: EditReport) -> list[str]:
        """A warning if the batch was done before and reported other numbers; told once."""
        before = self._batches.get(number)
        now = json_value({"counters": report.counters, "values": report.values}, not_finite=str)
        if not isinstance(before, Mapping) or self._told:
            return []
        if all(before.get(part) == value for part, value in now.items()):
            return []
        self._told = True
        return [
            f"Batch {number} was done before, and its report differs this time: the editor or the machine does not "
            "repeat itself to the bit."
        ]

    def unlike_save(self, edits: int, checksums: Mapping[str, str]) -> list[str]:
        """A warning if a save at this position was made before, with other content; told once."""
        before = self._saves.get(edits)
        if not isinstance(before, Mapping) or self._told:
            return []
        if all(before.get(name) == checksums.get(name) for name in (WEIGHTS, STATE)):
            return []
        self._told = True
        return [
            f"The save at {edits} edits differs from the one made before: the editor or the machine does not repeat "
            "itself to the bit."
        ]
