"""Processes on this machine: how many at once, and one keeper for each."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from palimpsest.harness.fleet.dispatch import Ended, Hear
from palimpsest.harness.system.environment import cores
from palimpsest.harness.system.memory import free_memory

if TYPE_CHECKING:
    from palimpsest.harness.fleet.prepared import Forked, Prepared
    from palimpsest.harness.fleet.ticket import Ticket

_LAST_WORDS = 500
"""Characters of what a process printed last that a message repeats."""


def slots(wanted: int | None, pieces: int, threads: int, bytes_each: int) -> int:
    """Number of processes that go on at once.

    Args:
        wanted: As many as the user says; None: as many as cores and free memory allow.
        pieces: Of work that are to do.
        threads: Of each process.
        bytes_each: Memory that the largest needs.
    """
    if wanted is not None:
        return max(1, min(wanted, pieces))
    fitting = free_memory() // max(1, bytes_each)
    return max(1, min(cores() // threads, fitting, pieces))


class LocalKeeper:
    """Keeps one process on this machine. When the keeper dies, the process's stdin ends, and it stops in order."""

    def __init__(self, ticket: Ticket, prepared: Prepared, hear: Hear) -> None:
        """Start the process.

        Args:
            ticket: The work; its file is written here.
            prepared: Starts processes.
            hear: Takes its events and its end.
        """
        self._log = ticket.log
        self._prepared = prepared
        self._process: Forked | subprocess.Popen[str] | None = None
        self._stopping: int | None = None
        self._lock = threading.Lock()
        place, log = ticket.write(), self._log.open("wb")
        threading.Thread(target=self._keep, args=(place, log, hear), daemon=True).start()

    def stop(self) -> None:
        """Ask the process to save and end behind its batch."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once."""
        self._send(signal.SIGKILL)

    def last_words(self) -> str:
        """The last line that the process printed for people."""
        return last_words(self._log)

    def _send(self, number: int) -> None:
        """Send the process a signal, as soon as there is one."""
        with self._lock:
            self._stopping = number
            if self._process is not None:
                self._process.send_signal(number)

    def _keep(self, place: Path, log: IO[bytes], hear: Hear) -> None:
        """Start the process, hand on every line of it that is an event, and its end."""
        try:
            with log:
                process = self._prepared.start(place, log)
        except OSError as error:
            hear({"event": "error", "kind": "error", "message": f"No process could be started: {error}."})
            hear(Ended(4))
            return
        with self._lock:
            self._process = process
            if self._stopping is not None:
                process.send_signal(self._stopping)
        with process:
            for event in events_of(process.stdout or ()):
                hear(event)
            code = process.wait()
        hear(Ended(code))


def events_of(lines: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    """The events among the lines that a process prints."""
    for line in lines:
        with suppress(ValueError, RecursionError):
            event = json.loads(line)
            if isinstance(event, dict) and isinstance(event.get("event"), str):
                yield event


def last_words(log: Path) -> str:
    """The last line that a process printed for people."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][-_LAST_WORDS:] if lines else ""


def forget(ticket: Ticket) -> None:
    """Remove what the processes of finished work left of its ticket."""
    for path in (ticket.place, ticket.log):
        with suppress(OSError):
            Path(path).unlink(missing_ok=True)
