"""Models that were edited elsewhere, each beside its unedited base; in no order of merit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from palimpsest.results.external import External, Score
from palimpsest.results.records import Interval
from palimpsest.site.parts.figures import Figure, interval_figure
from palimpsest.site.words import labels
from palimpsest.site.words.text import count, older_protocol


@dataclass(frozen=True, slots=True)
class ExternalRow:
    """One model."""

    id: str
    name: str
    changed: str
    day: str
    figures: tuple[tuple[Figure, Figure], ...]
    """(base, edited) of each metric."""


@dataclass(frozen=True, slots=True)
class ExternalGroup:
    """Models with one base, task, number of edits and protocol."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[ExternalRow, ...]


def external_view(rows: Sequence[External]) -> list[ExternalGroup]:
    """Rows by what they can be compared in, by name within it."""
    found = []
    key = _place
    for _, group in groupby(sorted(rows, key=lambda row: (*key(row), row.name, row.id)), key=key):
        alike = list(group)
        metrics = [one.metric for one in alike[0].scores if one.metric.startswith(labels.COMPONENTS)]
        metrics = [metric for metric in metrics if labels.form_of(metric)]
        first = alike[0]
        title = f"{first.base}, {first.task}, {count(first.edits)} edits{older_protocol(first.protocol)}"
        heads = tuple(labels.metric_title(metric) for metric in metrics)
        found.append(ExternalGroup(title, heads, tuple(_row(row, metrics) for row in alike)))
    return found


def _place(row: External) -> tuple[str, ...]:
    return row.base, row.base_fingerprint, row.task, row.task_hash, f"{row.edits:08}", f"{row.protocol:04}"


def _row(row: External, metrics: Sequence[str]) -> ExternalRow:
    by_name = {score.metric: score for score in row.scores}
    figures = tuple(_figures(by_name.get(metric)) for metric in metrics)
    return ExternalRow(row.id, row.name, f"{count(row.changed)} of {count(row.parameters)}", row.day, figures)


def _figures(score: Score | None) -> tuple[Figure, Figure]:
    if score is None:
        return interval_figure(None), interval_figure(None)
    before = Interval(score.before, score.before_low, score.before_high)
    return interval_figure(before), interval_figure(Interval(score.value, score.low, score.high))


def external_columns(rows: Sequence[External]) -> dict[str, list[Any]]:
    """One line per model and metric, for the downloads."""
    lines = [(row, score) for row in rows for score in row.scores]
    own = ("kind", "id", "name", "base", "base_fingerprint", "fingerprint", "changed", "parameters", "task",
           "task_hash", "edits", "protocol", "version", "day")  # fmt: skip
    scored = ("metric", "before", "before_low", "before_high", "value", "low", "high")
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row, _ in lines] for name in own}
    return columns | {name: [getattr(score, name) for _, score in lines] for name in scored}
