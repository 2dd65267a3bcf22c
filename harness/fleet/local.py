"""Processes on this machine: how many at once, and one keeper for each."""

from __future__ import annotations

import json
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from palimpsest.harness.fleet.dispatch import Ended, Hear
from palimpsest.harness.system import child
from palimpsest.harness.system.environment import cores
from palimpsest.harness.system.memory import free_memory

if TYPE_CHECKING:
    from palimpsest.harness.fleet.ticket import Ticket

_LAST_WORDS = 500
"""Characters of what a process printed last that a message repeats."""


def slots(wanted: int | None, runs: int, threads: int, bytes_each: int) -> int:
    """Number of runs that go on at once.

    Args:
        wanted: As many as the user says; None: as many as cores and free memory allow.
        runs: That are to do.
        threads: Of each run.
        bytes_each: Memory that the largest run needs.
    """
    if wanted is not None:
        return max(1, min(wanted, runs))
    fitting = free_memory() // max(1, bytes_each)
    return max(1, min(cores() // threads, fitting, runs))


class LocalKeeper:
    """Keeps one process on this machine. When the keeper dies, the process's stdin ends, and it stops in order."""

    def __init__(self, ticket: Ticket, module: str, hear: Hear) -> None:
        """Start the process.

        Args:
            ticket: The run; its file is written here.
            module: Module of the command line.
            hear: Takes its events and its end.
        """
        self._log = ticket.log
        place = ticket.write()
        with self._log.open("wb") as log:
            self._process = child.start_kept("-m", module, "run", "--ticket", str(place), errors=log)
        threading.Thread(target=self._read, args=(hear,), daemon=True).start()

    def stop(self) -> None:
        """Ask the process to save and end behind its batch."""
        with suppress(OSError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once."""
        with suppress(OSError):
            self._process.kill()

    def last_words(self) -> str:
        """The last line that the process printed for people."""
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1][-_LAST_WORDS:] if lines else ""

    def _read(self, hear: Hear) -> None:
        """Hand on every line that is an event, and the end."""
        with self._process as process:
            for line in process.stdout or ():
                with suppress(ValueError, RecursionError):
                    event = json.loads(line)
                    if isinstance(event, dict) and isinstance(event.get("event"), str):
                        hear(event)
            code = process.wait()
        hear(Ended(code))


def forget(ticket: Ticket) -> None:
    """Remove what a finished run's processes left beside its folder."""
    for path in (ticket.place, ticket.log):
        with suppress(OSError):
            Path(path).unlink(missing_ok=True)
