"""The journal of a run: one JSON object per line, appended and synced, readable after any crash."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from palimpsest.harness.system.atomic_files import announce, disk_errors


def utc_now() -> str:
    """The present time in UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


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
        line = json.dumps({"time": utc_now(), "event": event, **plain(fields)}, allow_nan=False) + "\n"
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


def plain(value: Any) -> Any:
    """The value as JSON can hold it: numbers that are not finite become text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
