"""All runs that go on at once: one table on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from palimpsest.cli.progress import Pace, PlainProgress, score_words
from palimpsest.harness.runs.journal import SilentProgress
from palimpsest.harness.specs.planning import PlannedRun

_ROWS = 40
"""Rows of the table, at most; runs that wait or are done are counted below it."""


class Board(Protocol):
    """Shows how all runs go."""

    def tell(self, run: str, event: Mapping[str, Any]) -> None:
        """Receive one event of one run."""

    def close(self) -> None:
        """Show nothing more."""


class PlainBoard:
    """Lines as of a single run, each with the run's name in front."""

    def __init__(self, planned: Sequence[PlannedRun], *, quiet: bool = False, stream: TextIO | None = None) -> None:
        """Begin silent.

        Args:
            planned: The runs.
            quiet: Say only warnings.
            stream: Where lines go; None: stderr.
        """
        self._stream = stream or sys.stderr
        self._progress = {run.spec.id: self._one(run, quiet=quiet) for run in planned}

    def _one(self, run: PlannedRun, *, quiet: bool) -> PlainProgress | SilentProgress:
        name = f"{run.spec.id} {run.spec.editor.name}"
        if quiet:
            return SilentProgress(lambda text: print(f"{name}  {text}", file=self._stream))
        return PlainProgress(self._stream, name=name)

    def tell(self, run: str, event: Mapping[str, Any]) -> None:
        """Say what is worth a line."""
        self._progress[run].tell(event)

    def close(self) -> None:
        """Nothing is left to say."""


@dataclass(slots=True)
class _Row:
    """Line of the table about a run."""

    run: PlannedRun
    pace: Pace
    state: str = "waits"
    phase: str = ""
    scores: str = ""
    told: list[str] = field(default_factory=list)

    def tell(self, event: Mapping[str, Any]) -> None:
        match event:
            case {"event": "here"}:
                self.state = "runs"
                self.phase = "starts"
            case {"event": "phase", "what": what}:
                self.phase = what
            case {"event": "prepared"}:
                self.pace.edits = 0
            case {"event": "run_resumed", "edits": edits}:
                self.pace.edits = edits
            case {"event": "batch", "edits": edits, "seconds_edit": seconds}:
                self.phase = ""
                self.pace.reach(edits, seconds)
            case {"event": "scores", "scores": scores}:
                self.scores = score_words(scores)
            case {"event": "verdict", "verdict": verdict}:
                self.state = verdict
                self.phase = ""

    def cells(self) -> list[str]:
        spec = self.run.spec
        edits = f"{self.pace.edits}/{self.pace.planned}"
        note = self.phase or (self.pace.words() if self.state == "runs" else "")
        names = [spec.editor.name, spec.model.name, spec.task.name, str(spec.seed)]
        return [spec.id, *names, self.state, edits, note, self.scores]


class LiveBoard:
    """A table of all runs that is painted again and again; warnings stand above it."""

    def __init__(self, planned: Sequence[PlannedRun], console: Console | None = None) -> None:
        """Show the table.

        Args:
            planned: The runs.
            console: Where it is shown; None: stderr.
        """
        self._rows = {run.spec.id: _Row(run, Pace(run.spec.schedule.edits)) for run in planned}
        self._live = Live(
            get_renderable=self._table, console=console or Console(stderr=True), refresh_per_second=2, transient=True
        )
        self._live.start()

    def tell(self, run: str, event: Mapping[str, Any]) -> None:
        """Note an event."""
        self._rows[run].tell(event)
        if event["event"] == "warning":
            self._live.console.print(f"{run}  {event['message']}", markup=False, highlight=False)

    def close(self) -> None:
        """Take the table away."""
        self._live.stop()

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for name in ("run", "editor", "model", "task", "seed", "state", "edits", "", "scores"):
            table.add_column(name, no_wrap=True)
        rows = sorted(self._rows.values(), key=lambda row: row.state != "runs")
        for row in rows[:_ROWS]:
            table.add_row(*map(Text, row.cells()))
        if len(rows) > _ROWS:
            table.add_row(Text(f"and {len(rows) - _ROWS} more"))
        return table


def make_board(planned: Sequence[PlannedRun], *, quiet: bool) -> Board:
    """A board that fits the place: a table on a terminal, plain lines elsewhere, only warnings when ``quiet``."""
    if quiet or not sys.stderr.isatty():
        return PlainBoard(planned, quiet=quiet)
    return LiveBoard(planned)
