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
from palimpsest.harness.runs.journal import Progress, SilentProgress

_EVERY_SECONDS = 60.0
_SMOOTHING = 0.3


class Pace:
    """Edits so far, their pace (smoothed), and what is left."""

    def __init__(self, planned: int) -> None:
        self.planned = planned
        self.edits = 0
        self.per_second: float | None = None

    def reach(self, edits: int, seconds: float) -> None:
        """Note that the batch up to ``edits`` took so many seconds."""
        now = (edits - self.edits) / max(seconds, 1e-4)
        self.edits = edits
        self.per_second = now if self.per_second is None else self.per_second + _SMOOTHING * (now - self.per_second)

    def rate(self) -> str:
        """Pace; nothing before the first batch."""
        return "" if self.per_second is None else f"{self.per_second:.2f} edits/s"

    def left(self) -> str:
        """Time that is left for editing; nothing before the first batch and after the last."""
        if self.per_second is None or self.edits >= self.planned:
            return ""
        return duration((self.planned - self.edits) / self.per_second)

    def words(self) -> str:
        """Pace and time left."""
        left = self.left()
        return f"{self.rate()}, editing left: {left}" if left else self.rate()


class PlainProgress:
    """One line at each checkpoint, and at least one a minute."""

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic, *, name: str = ""
    ) -> None:
        """Begin silent.

        Args:
            stream: Where lines go; None: stderr.
            clock: Tells the time, in seconds.
            name: Stands in front of lines until a run is started.
        """
        self._stream = stream or sys.stderr
        self._clock = clock
        self._last = clock()
        self._name = name
        self._pace = Pace(0)

    def tell(self, event: Mapping[str, Any]) -> None:
        """Say what is worth a line; what is not, only if nothing was said for a minute."""
        match event:
            case {"event": "started", "run": run, "editor": editor, "planned": planned, "edits": edits}:
                self._name = f"{run} {editor}"
                self._pace = Pace(planned)
                self._say(f"{edits} of {planned} edits saved" if edits else f"{planned} edits to do")
            case {"event": "prepared"}:
                self._pace.edits = 0
            case {"event": "run_resumed", "edits": edits}:
                self._pace.edits = edits
                self._say(f"continues from the save at {edits} edits")
            case {"event": "phase", "what": what}:
                self._seldom(what)
            case {"event": "batch", "edits": edits, "seconds_edit": seconds}:
                self._pace.reach(edits, seconds)
                self._seldom(f"{edits} of {self._pace.planned} edits, {self._pace.words()}")
            case {"event": "scores", "edits": edits, "scores": scores}:
                self._say(", ".join(filter(None, [f"checkpoint {edits}: {score_words(scores)}", self._pace.words()])))
            case {"event": "warning", "message": message}:
                self._say(message)
            case {"event": "ended", "status": status, "edits": edits, "reason": reason}:
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
        self._pace = Pace(0)
        self._scores = ""

    def tell(self, event: Mapping[str, Any]) -> None:
        """Move the bar; checkpoints and warnings leave a line."""
        match event:
            case {"event": "started", "editor": editor, "model": model, "planned": planned, "edits": edits}:
                self._pace = Pace(planned)
                self._scores = ""
                self._bar.start()
                self._task = self._bar.add_task(f"{editor} on {model}", total=planned, note="")
            case {"event": "prepared"}:
                self._pace.edits = 0
            case {"event": "run_resumed", "edits": edits}:
                self._pace.edits = edits
                self._show("")
            case {"event": "phase", "what": what}:
                self._show(what)
            case {"event": "batch", "edits": edits, "seconds_edit": seconds}:
                self._pace.reach(edits, seconds)
                self._show("")
            case {"event": "scores", "edits": edits, "scores": scores}:
                self._scores = score_words(scores)
                self._bar.console.print(f"checkpoint {edits}: {self._scores}", markup=False, highlight=False)
                self._show("")
            case {"event": "warning", "message": message}:
                self._bar.console.print(message, markup=False, highlight=False)
            case {"event": "ended"}:
                if self._task is not None:
                    self._bar.remove_task(self._task)
                    self._task = None
                self._bar.stop()

    def _show(self, phase: str) -> None:
        if self._task is not None:
            note = "  ".join(filter(None, [phase or self._pace.words(), self._scores]))
            self._bar.update(self._task, completed=self._pace.edits, note=note)


def make_progress(*, quiet: bool = False, stream: TextIO | None = None) -> Progress:
    """Progress that fits the place: a live bar on a terminal, plain lines elsewhere, only warnings when ``quiet``."""
    if quiet:
        return SilentProgress(lambda text: print(text, file=sys.stderr))
    target = stream or sys.stderr
    return LiveProgress() if target is sys.stderr and target.isatty() else PlainProgress(stream)


def score_words(scores: Mapping[str, float]) -> str:
    """Scores in percent, as progress says them."""
    return ", ".join(f"{name} {value:.1f} %" for name, value in scores.items()) or "nothing to score"
