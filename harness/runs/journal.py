"""The journal of a run, one JSON object per line, synced and readable after any crash; and what listens to it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from palimpsest.harness.runs.layout import STATE, WEIGHTS
from palimpsest.harness.system.atomic_files import announce, atomic_write_bytes, disk_errors, set_aside
from palimpsest.harness.system.environment import utc_now
from palimpsest.harness.system.json_values import json_value
from palimpsest.harness.system.public_text import public

if TYPE_CHECKING:
    from palimpsest.harness.editor import EditReport


class Progress(Protocol):
    """Listens to one run after another."""

    def tell(self, event: Mapping[str, Any]) -> None:
        """Receive one event: plain data, its kind under ``event``.

        Recorded in the journal are ``run_started``, ``prepared``, ``run_resumed`` (edits), ``batch`` (edits,
        seconds_edit), ``save`` (edits), ``checkpoint`` (edits), ``warning`` (message), ``interrupted`` (edits),
        ``run_finished``, ``run_collapsed``, ``run_failed`` (edits, reason) and ``saves_removed`` (edits).

        Told only are ``started`` (run, editor, model, planned, edits: how many of those are saved), ``phase`` (what:
        something that takes time begins), ``scores`` (edits, scores: the main ones, in percent) and ``ended`` (status,
        edits, reason).
        """


class SilentProgress:
    """Says nothing, except warnings when asked to."""

    def __init__(self, warn: Callable[[str], None] | None = None) -> None:
        """Choose who hears the texts of warnings, if anybody."""
        self._warn = warn

    def tell(self, event: Mapping[str, Any]) -> None:
        """Hand a warning on."""
        if self._warn is not None and event["event"] == "warning":
            self._warn(event["message"])


class Journal:
    """Appends events to a file and tells them on. One process at a time may hold it."""

    def __init__(self, path: Path, progress: Progress | None = None) -> None:
        """Name the file and who hears every event, if anybody; nothing is read or written yet."""
        self.path = path
        self._progress = progress or SilentProgress()

    def mend(self) -> list[str]:
        """Leave whole lines only: complete a whole last line, cut a torn one, take out those that cannot be read.

        Returns:
            A warning if more than a torn last line had to go.

        Raises:
            MissingResource: The disk is full.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        if data and not data.endswith(b"\n"):
            kept = data.rfind(b"\n") + 1
            if _event(data[kept:]) is None:
                announce("truncate", self.path)
                os.truncate(self.path, kept)
                data = data[:kept]
            else:
                with disk_errors(self.path.parent, 1), self.path.open("ab") as file:
                    file.write(b"\n")
                data += b"\n"
        lines = data.splitlines(keepends=True)
        good = [line for line in lines if _event(line) is not None]
        if len(good) == len(lines):
            return []
        aside = set_aside(self.path)
        atomic_write_bytes(self.path, b"".join(good))
        return [
            f"{self.path} has {len(lines) - len(good)} unreadable lines; it was moved to {aside}, the rest is kept."
        ]

    def append(self, event: str, **fields: Any) -> None:
        """Write one event, wait until it is on the disk, and tell it.

        Raises:
            MissingResource: The disk is full.
        """
        value = {"time": utc_now(), "event": event, **json_value(fields, not_finite=str, text=public)}
        data = (json.dumps(value, allow_nan=False) + "\n").encode()
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
        self.tell(event, **fields)

    def tell(self, event: str, **fields: Any) -> None:
        """Tell an event without writing it."""
        self._progress.tell({"event": event, **json_value(fields, not_finite=str)})

    def warn(self, messages: Sequence[str]) -> None:
        """Write and tell warnings."""
        for message in messages:
            self.append("warning", message=message)

    def events(self) -> list[dict[str, Any]]:
        """Everything written so far."""
        return read_events(self.path)


def read_events(path: Path) -> list[dict[str, Any]]:
    """All events of a journal in order; unreadable lines are left out, a missing file has none."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return []
    return [event for line in lines if (event := _event(line)) is not None]


def _event(line: bytes) -> dict[str, Any] | None:
    """The event of a line; None where there is none."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


class RepeatCheck:
    """Compares what a run does again with what its journal says of the first time. It warns once."""

    def __init__(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Read the reports and checksums of earlier processes from the journal's events so far."""
        self._batches = {e.get("index"): e.get("report") for e in events if e["event"] == "batch"}
        self._saves = {e.get("edits"): e.get("sha256") for e in events if e["event"] == "save"}
        done = [e.get("edits") for e in events if e["event"] in ("batch", "save")]
        self.edits = max((n for n in done if isinstance(n, int)), default=0)
        """Edits that were made before, saved or not."""
        self._told = False

    def batch(self, number: int, report: EditReport) -> list[str]:
        """A warning if the batch was done before and reported other numbers."""
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

    def save(self, edits: int, checksums: Mapping[str, str]) -> list[str]:
        """A warning if a save at this position was made before, with files of other checksums."""
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
