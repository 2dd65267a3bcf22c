"""The figures of the page: a text to read, an interval beside it, a key to sort by."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup, escape

from palimpsest.results.records import LEAST_COURSES, EditsUntil, Interval, Standing
from palimpsest.site.parts.table import TableRow
from palimpsest.site.words.text import MISSING, NARROW, count, fixed, is_number, memory, seconds


@dataclass(frozen=True, slots=True)
class Figure:
    """One number in a table cell."""

    text: str
    span: str = ""
    """Its 95 % interval, or a note; may be empty."""
    sort: str = ""
    """Value that the column sorts by; empty sorts last."""

    @property
    def html(self) -> Markup:
        """As it stands in a cell. Made here and not by a template: a run's page has hundreds of them."""
        span = f'<span class="span">{escape(self.span)}</span>' if self.span else ""
        return Markup(f'<span class="value">{escape(self.text)}</span>{span}')


@dataclass(frozen=True, slots=True)
class EffectiveBar:
    """The headline of a row: effective edits as a number and as a bar along the planned course of edits."""

    figure: Figure
    reached: float
    """Effective edits, in percent of the planned ones."""
    made: float
    """Edits made before the run ended, in percent of the planned ones; at least ``reached``."""
    low: float
    """Ends of the 95 % interval of ``reached`` in percent of the planned edits; equal when there is none."""
    high: float


COLLAPSED = Figure(MISSING, "collapsed")
"""Instead of a value that was not measured because the run had collapsed."""

UNFINISHED = Figure(MISSING, "not finished")
"""Instead of the headline of a row without a finished run: its runs stand at another number of edits than others."""


def interval_figure(interval: Interval | None, digits: int = 1) -> Figure:
    """A percentage with its interval."""
    if interval is None or not is_number(interval.value):
        return Figure(MISSING)
    span = ""
    if is_number(interval.low) and is_number(interval.high):
        span = f"{fixed(interval.low, digits)}–{fixed(interval.high, digits)}"
    return Figure(fixed(interval.value, digits), span, repr(round(interval.value or 0.0, 6)))


def seconds_figure(value: float | None) -> Figure:
    """A duration."""
    return Figure(seconds(value), "", repr(round(value, 9)) if value is not None and is_number(value) else "")


def memory_figure(megabytes: float | None) -> Figure:
    """A size."""
    return Figure(memory(megabytes), "", repr(megabytes) if is_number(megabytes) else "")


def effective_figure(value: Interval) -> Figure:
    """Effective edits."""
    return interval_figure(value, 0)


def effective_bar(row: TableRow) -> EffectiveBar:
    """The headline of one row; on a track of one checkpoint the number alone."""
    if not row.along:
        return EffectiveBar(effective_figure(row.effective_edits), 0.0, 0.0, 0.0, 0.0)
    value, planned = row.effective_edits, row.first.edits_planned
    reached = _percent(value.value or 0.0, planned)
    known = value.low is not None and value.high is not None
    return EffectiveBar(
        figure=effective_figure(value),
        reached=reached,
        made=max(reached, _percent(row.first.edits_done, planned)),
        low=_percent(value.low or 0.0, planned) if known else reached,
        high=_percent(value.high or 0.0, planned) if known else reached,
    )


def until_text(value: EditsUntil) -> str:
    """Edits until a limit; ``> N`` where no run fell under it, ``≥ N`` where some of the seeds did not."""
    if is_number(value.edits):
        return f"≥{NARROW}{count(value.edits)}" if value.censored_at is not None else count(value.edits)
    return f">{NARROW}{count(value.censored_at)}" if value.censored_at is not None else MISSING


def until_figure(value: EditsUntil) -> Figure:
    """Edits until a limit. What was not reached sorts with the last checkpoint, not above it."""
    edits = value.edits if is_number(value.edits) else value.censored_at
    return Figure(until_text(value), _until_span(value), "" if edits is None else repr(round(float(edits), 6)))


def _until_span(value: EditsUntil) -> str:
    if value.low is None or (value.edits is None and value.censored_at is not None and value.low >= value.censored_at):
        return ""
    return f"{count(value.low)}–{count(value.high)}" if value.high is not None else f"≥{NARROW}{count(value.low)}"


def _percent(edits: float, planned: int) -> float:
    if not is_number(edits) or planned <= 0:
        return 0.0
    return round(min(100.0, max(0.0, 100.0 * edits / planned)), 2)


def rank_figure(standing: Standing | None) -> Figure:
    """The interval of ranks that the data allow; without a rank a dash, and the reason beside it."""
    if standing is None:
        return Figure(MISSING, "no rank: not finished")
    if standing.unranked:
        return Figure(MISSING, f"no rank: the track has {standing.unranked}")
    if standing.rank_low is None or standing.rank_high is None:
        return Figure(MISSING, f"no rank: {courses(standing.courses)}; a rank needs {LEAST_COURSES}")
    same = standing.rank_low == standing.rank_high
    text = str(standing.rank_low) if same else f"{standing.rank_low}–{standing.rank_high}"
    return Figure(text, "", repr(standing.rank_low + standing.rank_high / 1000))


def courses_figure(row: TableRow) -> Figure:
    """Courses × cases of each; beside them whether the courses spread more widely than others do."""
    standing = row.standing
    if standing is None:
        return Figure(MISSING)
    text = f"{standing.courses}{NARROW}×{NARROW}{count(row.cases)}"
    return Figure(text, "spreads widely" if standing.wide else "", repr(standing.courses))


def interval_note(standing: Standing | None) -> str:
    """Reach of the interval of effective edits, in words."""
    if standing is not None and standing.tells_of_courses:
        return "95 % interval: other courses"
    these = "this course" if standing is None or standing.courses == 1 else "these courses"
    return f"95 % interval: other cases in {these} only"


def courses(number: int) -> str:
    """A number of courses in words."""
    return f"{number} course{'' if number == 1 else 's'}"
