"""The figures of the page: a text to read, an interval beside it, a key to sort by."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup, escape

from palimpsest.results.records import BoardRow, EnduranceValue, Interval
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
class EnduranceBar:
    """The headline of a row: endurance as a number and as a bar along the planned course of edits."""

    figure: Figure
    reached: float
    """Place at which the value fell under 80 %, in percent of the planned edits."""
    half: float
    """Place at which it fell under 50 %, in percent of the planned edits; at least ``reached``."""
    open: bool
    """True: the run ended before the value fell so far."""
    low: float
    """Ends of the 95 % interval of ``reached`` in percent of the planned edits; equal when there is none."""
    high: float
    editing: str
    abilities: str
    limit: str
    """The one that fell first: ``editing`` or ``abilities``; empty if neither did."""


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


def endurance_text(value: EnduranceValue) -> str:
    """Edits survived; ``> N`` where every run ended first, ``≥ N`` where some of the seeds did."""
    if is_number(value.edits):
        return f"≥{NARROW}{count(value.edits)}" if value.censored_at is not None else count(value.edits)
    return f">{NARROW}{count(value.censored_at)}" if value.censored_at is not None else MISSING


def endurance_figure(value: EnduranceValue) -> Figure:
    """Edits survived; a run that ended before sorts just above one that fell at its last checkpoint."""
    if value.edits is not None and is_number(value.edits):
        sort = repr(round(value.edits, 6))
    else:
        sort = repr(value.censored_at + 0.5) if value.censored_at is not None else ""
    return Figure(endurance_text(value), _endurance_span(value), sort)


def _endurance_span(value: EnduranceValue) -> str:
    if value.low is None or (value.edits is None and value.censored_at is not None and value.low >= value.censored_at):
        return ""
    return f"{count(value.low)}–{count(value.high)}" if value.high is not None else f"≥{NARROW}{count(value.low)}"


def endurance_bar(row: TableRow) -> EnduranceBar:
    """The headline of one row."""
    value, planned = row.endurance, row.first.edits_planned
    reached = _share(value, planned)
    low, high = reached, reached
    if value.low is not None:
        end = value.high if value.high is not None else max(value.censored_at or 0, row.first.edits_done)
        low, high = _percent(value.low, planned), _percent(end, planned)
    return EnduranceBar(
        figure=endurance_figure(value),
        reached=reached,
        half=max(reached, _share(row.half_life, planned)),
        open=value.edits is None and value.censored_at is not None,
        low=low,
        high=high,
        editing=endurance_text(row.endurance_editing),
        abilities=endurance_text(row.endurance_abilities),
        limit=_limit(row),
    )


def _limit(row: TableRow) -> str:
    editing, abilities = row.endurance_editing.edits, row.endurance_abilities.edits
    if editing is None:
        return "" if abilities is None else "abilities"
    return "editing" if abilities is None or editing <= abilities else "abilities"


def _share(value: EnduranceValue, planned: int) -> float:
    edits = value.edits if value.edits is not None else value.censored_at
    return 0.0 if edits is None else _percent(edits, planned)


def _percent(edits: float, planned: int) -> float:
    if not is_number(edits) or planned <= 0:
        return 0.0
    return round(min(100.0, max(0.0, 100.0 * edits / planned)), 2)


def rank_figure(row: BoardRow) -> Figure:
    """The interval of ranks that the data allow."""
    if row.rank_low is None or row.rank_high is None:
        return Figure(MISSING, "not ranked")
    same = row.rank_low == row.rank_high
    text = str(row.rank_low) if same else f"{row.rank_low}–{row.rank_high}"
    return Figure(text, "", repr(row.rank_low + row.rank_high / 1000))
