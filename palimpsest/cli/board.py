"""All runs that go on at once: one table on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from palimpsest.cli.progress import Pace, PlainProgress
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
    score: str = ""

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
            case {"event": "scores", "edits": edits, "scores": scores}:
                self.score = next((f"{value:.1f} % at {edits}" for value in scores.values()), "")
            case {"event": "verdict", "verdict": verdict}:
                self.state = verdict
                self.phase = ""

    def cells(self) -> dict[str, str]:
        spec = self.run.spec
        left = f"{self.pace.left()} left" if self.pace.left() else ""
        now = [self.phase or self.pace.rate(), left] if self.state == "runs" else [self.state]
        return {
            "run": spec.id,
            "editor": spec.editor.name,
            "model": spec.model.name,
            "task": spec.task.name,
            "seed": str(spec.seed),
            "edits": f"{self.pace.edits}/{self.pace.planned}",
            "now": ", ".join(filter(None, now)),
            "score": self.score,
        }


class LiveBoard:
    """A table of all runs that is painted again and again; warnings stand above it."""

    def __init__(self, planned: Sequence[PlannedRun], console: Console | None = None) -> None:
        """Show the table.

        Args:
            planned: The runs.
            console: Where it is shown; None: stderr.
        """
        self._rows = {run.spec.id: _Row(run, Pace(run.spec.schedule.edits)) for run in planned}
        self._console = console or Console(stderr=True)
        self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=1, transient=True)
        self._live.start()

    def tell(self, run: str, event: Mapping[str, Any]) -> None:
        """Note an event."""
        self._rows[run].tell(event)
        if event["event"] == "warning":
            self._console.print(f"{run}  {event['message']}", markup=False, highlight=False)

    def close(self) -> None:
        """Take the table away."""
        self._live.stop()

    def _table(self) -> Table:
        rows = sorted(self._rows.values(), key=lambda row: row.state != "runs")
        shown = [row.cells() for row in rows[:_ROWS]]
        widths = _columns(shown, self._console.width)
        table = Table(box=None, pad_edge=False)
        for name, width in widths.items():
            table.add_column(name, no_wrap=True, width=width)
        for cells in shown:
            table.add_row(*(Text(cells[name]) for name in widths))
        if len(rows) > _ROWS:
            table.add_row(Text(f"and {len(rows) - _ROWS} more"))
        return table


def _columns(shown: Sequence[Mapping[str, str]], width: int) -> dict[str, int]:
    """Columns and their widths: without those that say the same of all runs, and fewer where all do not fit.

    Args:
        shown: The cells of each row.
        width: Of the terminal, in characters.
    """
    widths = {name: max(len(name), *(len(cells[name]) for cells in shown)) for name in shown[0]}
    for name in ("model", "task", "seed"):
        if len({cells[name] for cells in shown}) == 1:
            del widths[name]
    for name in ("run", "task", "seed", "model"):
        if _total(widths) > width:
            widths.pop(name, None)
    widths["now"] -= max(0, min(_total(widths) - width, widths["now"] - len("now")))
    return widths


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + 2 * (len(widths) - 1)


def make_board(planned: Sequence[PlannedRun], *, quiet: bool) -> Board:
    """A board that fits the place: a table on a terminal, plain lines elsewhere, only warnings when ``quiet``."""
    if quiet or not sys.stderr.isatty():
        return PlainBoard(planned, quiet=quiet)
    return LiveBoard(planned)
