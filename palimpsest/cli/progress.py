"""Progress on a terminal, and as plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from palimpsest.cli.output import duration
from palimpsest.harness.runs.progress import Progress, SilentProgress
from palimpsest.harness.specs.run_spec import RunSpec

_EVERY_SECONDS = 60.0
_SMOOTHING = 0.3


class _Pace:
    """Edits per second, smoothed, and what is left."""

    def __init__(self, planned: int) -> None:
        self.planned = planned
        self.per_second: float | None = None

    def add(self, size: int, seconds: float) -> None:
        now = size / max(seconds, 1e-9)
        self.per_second = now if self.per_second is None else self.per_second + _SMOOTHING * (now - self.per_second)

    def words(self, edits: int) -> str:
        if self.per_second is None:
            return ""
        left = duration((self.planned - edits) / self.per_second)
        return f"{self.per_second:.2f} edits/s, editing left: {left}"


class PlainProgress:
    """One line at each checkpoint, and at least one a minute."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Args: where to write (None: stderr), and what tells the time."""
        self._stream, self._clock = stream or sys.stderr, clock
        self._last = clock()
        self._name, self._pace = "", _Pace(0)

    def started(self, spec: RunSpec, edits: int) -> None:
        """Say which run."""
        self._name, self._pace = f"{spec.id} {spec.editor.name}", _Pace(spec.schedule.edits)
        self._say(f"{edits} of {spec.schedule.edits} edits saved" if edits else f"{spec.schedule.edits} edits to do")

    def resumed(self, edits: int) -> None:
        """Say from where."""
        self._say(f"continues from the save at {edits} edits")

    def phase(self, what: str) -> None:
        """Say it if nothing was said for a minute."""
        self._seldom(what)

    def batch(self, edits: int, size: int, seconds: float) -> None:
        """Say it if nothing was said for a minute."""
        self._pace.add(size, seconds)
        self._seldom(f"{edits} of {self._pace.planned} edits, {self._pace.words(edits)}")

    def scored(self, edits: int, scores: Mapping[str, float]) -> None:
        """Say the scores."""
        pace = self._pace.words(edits)
        self._say(", ".join(filter(None, [f"checkpoint {edits}: {_scores(scores)}", pace])))

    def message(self, text: str) -> None:
        """Say it."""
        self._say(text)

    def ended(self, status: str, edits: int, reason: str | None) -> None:
        """Say how."""
        self._say(f"{status} at {edits} edits" + (f": {reason}" if reason else ""))

    def _seldom(self, text: str) -> None:
        if self._clock() - self._last >= _EVERY_SECONDS:
            self._say(text)

    def _say(self, text: str) -> None:
        self._last = self._clock()
        print(f"{self._name}  {text}" if self._name else text, file=self._stream, flush=True)


class LiveProgress:
    """A bar with edits done, pace, time left and the last scores."""

    def __init__(self) -> None:
        self._bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: Any = None
        self._pace, self._edits, self._scores, self._phase = _Pace(0), 0, "", ""

    def started(self, spec: RunSpec, edits: int) -> None:
        """Show a new bar."""
        self._pace, self._edits, self._scores = _Pace(spec.schedule.edits), 0, ""
        self._bar.start()
        self._task = self._bar.add_task(f"{spec.editor.name} on {spec.model.name}", total=spec.schedule.edits, note="")

    def resumed(self, edits: int) -> None:
        """Move the bar."""
        self._edits = edits
        self._show("")

    def phase(self, what: str) -> None:
        """Show what takes time."""
        self._show(what)

    def batch(self, edits: int, size: int, seconds: float) -> None:
        """Move the bar."""
        self._edits = edits
        self._pace.add(size, seconds)
        self._show("")

    def scored(self, edits: int, scores: Mapping[str, float]) -> None:
        """Show the scores, and leave a line."""
        self._scores = _scores(scores)
        self._bar.console.print(f"checkpoint {edits}: {self._scores}", markup=False, highlight=False)
        self._show("")

    def message(self, text: str) -> None:
        """Leave a line."""
        self._bar.console.print(text, markup=False, highlight=False)

    def ended(self, status: str, edits: int, reason: str | None) -> None:
        """Take the bar away."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        self._bar.stop()

    def _show(self, phase: str) -> None:
        if self._task is not None:
            note = "  ".join(filter(None, [phase or self._pace.words(self._edits), self._scores]))
            self._bar.update(self._task, completed=self._edits, note=note)


def make_progress(*, quiet: bool = False, stream: TextIO | None = None) -> Progress:
    """What fits the place: a live bar on a terminal, plain lines elsewhere, only warnings when ``quiet``."""
    if quiet:
        return SilentProgress(lambda text: print(text, file=sys.stderr))
    target = stream or sys.stderr
    return LiveProgress() if target is sys.stderr and target.isatty() else PlainProgress(stream)


def _scores(scores: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f} %" for name, value in scores.items()) or "nothing to score"
