"""Content of figures for print: curves of a metric, score against abilities, and bars of the headline.

All three are about the rows that ended by themselves, as the table for a paper is, and look as on the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from palimpsest.results.analysis.seeds import combine
from palimpsest.results.records import Interval, Track
from palimpsest.results.store.bulk import Series
from palimpsest.site.parts import figures, payload
from palimpsest.site.parts.table import ABILITIES_KEPT, QUALITY, TableRow
from palimpsest.site.words import labels
from palimpsest.site.words.looks import Look
from palimpsest.site.words.text import count, day, older_protocol

KINDS = ("headline", "curves", "pareto")
_NOTHING = Interval(None)


@dataclass(frozen=True, slots=True)
class Line:
    """One row's curve; all sequences have one entry per scored checkpoint."""

    label: str
    look: Look
    edits: tuple[int, ...]
    value: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    died: bool
    """True if every course of the row collapsed, so that its line ends before the last checkpoint."""


@dataclass(frozen=True, slots=True)
class Curves:
    """A metric against the number of edits."""

    name: str
    """Part of a file's name."""
    title: str
    unit: str
    percent: bool
    lines: tuple[Line, ...]
    rules: tuple[float, ...] = ()
    """Values at which a line runs across."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One row of a scatter plot."""

    label: str
    look: Look
    x: float
    y: float
    share: float
    """Its seconds per edit as a share of the most that any row needs."""


@dataclass(frozen=True, slots=True)
class Pareto:
    """Score against abilities kept."""

    name: str
    title: str
    marks: tuple[Mark, ...]
    front: tuple[tuple[float, float], ...]
    """Marks that no other beats in both, from most abilities kept to the highest score."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Headline of one row."""

    label: str
    look: Look
    value: float
    low: float | None
    high: float | None
    text: str
    """Value and interval as the page writes them."""


@dataclass(frozen=True, slots=True)
class Bars:
    """Effective edits of all rows, best first."""

    name: str
    title: str
    planned: int
    bars: tuple[Bar, ...]
    note: str
    """Reach of the intervals."""


Plot = Curves | Pareto | Bars


def heading(track: Track, rows: Sequence[TableRow]) -> tuple[str, ...]:
    """Lines that say whose figure it is: model and task, schedule, track and the newest run's date."""
    newest = max((row.date for row in rows if row.date), default=None)
    where = f"Palimpsest track {track.track_id}, protocol {track.protocol}{older_protocol(track.protocol)}"
    return (
        f"{track.model} on {track.task}, {payload.planned_edits(track)}, {track.edit_order}",
        f"{where}, newest run {day(newest)}",
    )


def ended(rows: Iterable[TableRow]) -> tuple[TableRow, ...]:
    """Rows that a figure may show: those that ended by themselves."""
    return tuple(row for row in rows if row.standing is not None)


def headline(track: Track, rows: Sequence[TableRow]) -> Bars:
    """Bars of effective edits; a row without a number has none."""
    bars = []
    for row in rows:
        value, rank = row.effective_edits, figures.rank_figure(row.standing).text
        if value.value is None:
            continue
        figure = figures.effective_figure(value)
        text = f"{figure.text} ({figure.span})" if figure.span else figure.text
        bars.append(Bar(f"{rank}  {row.label}", row.look, value.value, value.low, value.high, text))
    notes = dict.fromkeys(figures.interval_note(row.standing) for row in rows)
    title = f"Effective edits, of {count(track.edits)} planned"
    return Bars("headline", title, track.edits, tuple(bars), "; or ".join(notes))


def pareto(track: Track, rows: Sequence[TableRow], at: int) -> Pareto:
    """Score, in the form that the headline goes by, against abilities kept, at one checkpoint.

    Rows whose courses had all collapsed before it have no mark: what they count for there was not measured.
    """
    found = []
    dead = [row.label for row in rows if all(run.edits_done < at for run in row.counted)]
    for row in rows:
        if row.label in dead:
            continue
        x, y = (row.metrics.get(name, {}).get(at, _NOTHING).value for name in (ABILITIES_KEPT, track.main_metric))
        if x is not None and y is not None:
            found.append((row, x, y))
    most = max((row.seconds or 0.0 for row, _, _ in found), default=0.0)
    marks = tuple(Mark(row.label, row.look, x, y, (row.seconds or 0.0) / most if most else 0.0) for row, x, y in found)
    front: list[tuple[float, float]] = []
    for mark in sorted(marks, key=lambda one: (-one.x, -one.y)):
        if not front or mark.y > front[-1][1]:
            front.append((mark.x, mark.y))
    title = f"{labels.metric_title(track.main_metric)} against abilities kept after {count(at)} edits"
    title += f"; collapsed before: {', '.join(dead)}" if dead else ""
    return Pareto(f"pareto-{at}", title, marks, tuple(front))


def curves(rows: Sequence[TableRow], series: Mapping[str, Sequence[Series]], metric: str, window: str) -> Curves:
    """Curves of one metric.

    Args:
        rows: Rows to show.
        series: Run id → its series.
        metric: Name of a series, as ``quality`` or ``ability:pocket_recall``.
        window: Edits that are asked about; series without windows have an empty one.
    """
    bounded = not labels.unbounded(metric.replace(":", "_"))
    lines = tuple(line for row in rows if (line := _line(row, series, metric, window, bounded)) is not None)
    plain = labels.ability_title(metric) if metric.startswith("ability:") else labels.metric_title(metric)
    title = f"{plain}, {labels.WINDOWS.get(window, window)}" if window else plain
    unit = "percent" if bounded else "seconds" if metric.startswith("seconds") else "value"
    name = "-".join(filter(None, (metric.replace(":", "-"), window if window != "all" else "")))
    return Curves(name, title, unit, bounded, lines, (80.0, 50.0) if metric == QUALITY else ())


def _line(
    row: TableRow, series: Mapping[str, Sequence[Series]], metric: str, window: str, bounded: bool
) -> Line | None:
    """A row's curve; None where it has not been measured."""
    found = [
        one for run in row.counted for one in series.get(run.run_id, ()) if (one.metric, one.window) == (metric, window)
    ]
    if not found:
        return None
    dead = set.intersection(*(set(one.imputed) for one in found))
    at = [payload.by_edits(one) for one in found]
    limits = (0.0, 100.0) if bounded else (None, None)
    own = row.own_cases and labels.of_cases(metric)
    means = {
        edits: combine([points.get(edits, _NOTHING) for points in at], own_cases=own, least=limits[0], most=limits[1])
        for edits in sorted({edits for one in found for edits in one.edits} - dead)
    }
    known = [(edits, one.value, one.low, one.high) for edits, one in means.items() if one.value is not None]
    if not known:
        return None
    edits, value, low, high = zip(*known, strict=True)
    return Line(row.label, row.look, edits, value, low, high, bool(dead))
