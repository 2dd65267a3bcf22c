"""The dispatcher: which ticket's process starts next, what follows from its end, and how all are stopped."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from palimpsest.harness.fleet.ticket import SHARED
from palimpsest.harness.fleet.verdict import Attempts, Verdict
from palimpsest.harness.system.interrupts import Interrupts, Stopped

if TYPE_CHECKING:
    from palimpsest.harness.fleet.ticket import Ticket

LATER_SECONDS = 10.0
"""Pause before a run is tried again that another process works on, or for which something is lacking."""
_TICK = 0.2


class Keeper(Protocol):
    """Keeps one process."""

    def stop(self) -> None:
        """Ask it to save and end."""

    def kill(self) -> None:
        """End it at once."""

    def last_words(self) -> str:
        """Last words that it printed for people."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a process."""

    code: int
    """Its exit code; negative: the signal that killed it."""


Hear = Callable[["Mapping[str, Any] | Ended"], None]
"""Takes every event that a process tells, and at last its end; may be called from any thread."""
Start = Callable[["Ticket", Hear], Keeper]
"""Starts the process of a ticket."""


@dataclass(frozen=True, slots=True)
class RunEnd:
    """Outcome of one run in this dispatch."""

    verdict: Verdict
    code: int
    """Exit code that the command would have had, had it done this run alone."""
    reason: str | None = None


@dataclass(slots=True)
class _Job:
    """One ticket on its way."""

    ticket: Ticket
    attempts: Attempts = field(default_factory=Attempts)
    keeper: Keeper | None = None
    begun: bool = False
    edits: int = 0
    kind: str = ""
    message: str | None = None
    not_before: float = 0.0
    end: RunEnd | None = None


class Dispatcher:
    """Does the work of many tickets, each in a process of its own, so many at once."""

    def __init__(
        self,
        tickets: Sequence[Ticket],
        slots: int,
        start: Start,
        *,
        tell: Callable[[str, Mapping[str, Any]], None],
        ended: Callable[[str, RunEnd], None] = lambda run, end: None,
        attempts: Mapping[str, Attempts] = MappingProxyType({}),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set up; nothing is started yet.

        Args:
            tickets: The work. What would wait for key statistics that another process makes begins after the rest.
            slots: Processes at once.
            start: Starts a process.
            tell: Receives (ticket's name, event): those of the processes, ``attempt`` (furthest, in_vain) when one has
                ended and another follows, and ``verdict`` (verdict).
            ended: Receives the name of each ticket that will not be tried again.
            attempts: Those that an earlier dispatcher has made at tickets, by name.
            clock: Tells the time, in seconds.
        """
        self.slots = slots
        """Processes at once; may be changed at any time."""
        self._start = start
        self._tell = tell
        self._ended = ended
        self._clock = clock
        self._heard: queue.SimpleQueue[tuple[str, Mapping[str, Any] | Ended]] = queue.SimpleQueue()
        self._stopping: str | None = None
        self._jobs = {ticket.name: _Job(ticket) for ticket in longest_first(tickets)}
        for run in self._jobs.keys() & attempts.keys():
            self._jobs[run].attempts = replace(attempts[run])
        self._made: set[str] = {""}
        """Groups whose key statistics are made, or were tried in vain."""

    def run(self, interrupts: Interrupts) -> dict[str, RunEnd]:
        """Do all runs; what became of each. After a signal all stop behind their next batch, and no other begins.

        Args:
            interrupts: Signals to heed, entered by the caller.
        """
        try:
            while any(job.end is None for job in self._jobs.values()):
                if interrupts.requested and self._stopping is None:
                    self._stop(interrupts.requested)
                self._fill()
                self._listen()
        except Stopped as again:  # a second signal
            self._stop(again.word or "interrupted")
            self._wait_or_kill()
        except BaseException:
            self._stop("terminated")
            self._wait_or_kill()
            raise
        return {run: job.end for run, job in self._jobs.items() if job.end is not None}

    def add(self, tickets: Sequence[Ticket]) -> None:
        """Take more work, when told that some has ended; it begins before what waits, and not after a signal."""
        if self._stopping is None:
            new = {ticket.name: _Job(ticket) for ticket in tickets}
            self._jobs = new | self._jobs | new

    def _fill(self) -> None:
        """Start what may start: first what waits for nothing that another process makes, and the longest first."""
        while self._stopping is None:
            going = [job for job in self._jobs.values() if job.keeper is not None]
            making = {job.ticket.group for job in going} - self._made
            idle = [job for job in self._jobs.values() if job.end is None and job.keeper is None]
            ready = [job for job in idle if job.not_before <= self._clock() and not self._awaits(job)]
            if len(going) >= self.slots or not ready:
                return
            job = min(ready, key=lambda job: job.ticket.group in making)
            job.begun = True
            job.edits = 0
            job.kind = ""
            job.message = None
            name = job.ticket.name
            job.keeper = self._start(job.ticket, lambda event, name=name: self._heard.put((name, event)))  # type: ignore[misc]

    def _awaits(self, job: _Job) -> bool:
        """Tell if a ticket that comes before this one has not ended."""
        return any(name in self._jobs and self._jobs[name].end is None for name in job.ticket.after)

    def _listen(self) -> None:
        """Take what the processes tell, and wait a moment if they tell nothing."""
        try:
            run, event = self._heard.get(timeout=_TICK)
        except queue.Empty:
            return
        job = self._jobs[run]
        if isinstance(event, Ended):
            self._judge(run, job, event.code)
            return
        if isinstance(event.get("edits"), int) and event.get("event") != "started":
            job.edits = max(job.edits, event["edits"])
        if event.get("event") == SHARED:
            self._made.add(job.ticket.group)
        if event.get("event") == "error":
            job.kind = str(event.get("kind"))
            job.message = str(event.get("message"))
        self._tell(run, event)

    def _judge(self, run: str, job: _Job, code: int) -> None:
        verdict = job.attempts.judge(code, edits=job.edits, kind=job.kind, asked_to_stop=self._stopping is not None)
        words = job.keeper.last_words() if job.keeper is not None else ""
        job.keeper = None
        self._made.add(job.ticket.group)  # whether it has made what others share or not, they wait no longer
        if verdict in ("again", "later") and self._stopping is None:
            if verdict == "later":
                job.not_before = self._clock() + LATER_SECONDS
            self._tell(run, {"event": "attempt", **asdict(job.attempts)})
            self._tell(run, {"event": "warning", "message": f"{_how(code)}; {_next(verdict, job.message)}"})
            return
        if verdict in ("again", "later"):
            verdict = "stopped"
        reason = job.message
        if code < 0 or code not in (0, 1, 2, 3, 4, 130, 143):
            reason = " ".join(filter(None, [f"its process ended {job.attempts.in_vain} times: {_how(code)}.", words]))
        self._close(run, job, RunEnd(verdict, _code(verdict, code, self._stopping), reason))

    def _close(self, run: str, job: _Job, end: RunEnd) -> None:
        job.end = end
        self._tell(run, {"event": "verdict", "verdict": end.verdict})
        self._ended(run, end)

    def _stop(self, word: str) -> None:
        """Ask all processes to save and end; runs that have none are not begun."""
        self._stopping = word
        for run, job in self._jobs.items():
            if job.keeper is not None:
                job.keeper.stop()
            elif job.end is None:
                self._close(run, job, RunEnd("stopped" if job.begun else "not begun", _code("stopped", 0, word)))

    def _wait_or_kill(self, seconds: float = 10.0) -> None:
        """Wait for the ends of all processes, and kill those that take too long."""
        deadline = time.monotonic() + seconds
        while any(job.keeper is not None for job in self._jobs.values()):
            if time.monotonic() > deadline:
                for job in self._jobs.values():
                    if job.keeper is not None:
                        job.keeper.kill()
                deadline = float("inf")
            self._listen()


def longest_first(tickets: Sequence[Ticket]) -> list[Ticket]:
    """The tickets by their predicted time, descending; those of unknown length before all."""
    return sorted(tickets, key=lambda ticket: float("-inf") if ticket.seconds is None else -ticket.seconds)


def _how(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"its process ended with exit code {code}"


def _next(verdict: Verdict, message: str | None) -> str:
    what = f"it is tried again in {LATER_SECONDS:.0f} s" if verdict == "later" else "it goes on from its last save"
    return f"{what} ({message})" if message else what


def _code(verdict: Verdict, code: int, word: str | None) -> int:
    """The exit code of a run by itself."""
    if verdict == "stopped":
        return {"interrupted": 130}.get(word or "", 143)
    return 1 if code not in (0, 1, 2, 3, 4) else code
