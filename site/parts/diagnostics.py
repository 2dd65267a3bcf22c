"""Diagnostics on a run's page: one folded table per group, a line per number and layer, a column per checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from palimpsest.harness.metrics.diagnostic_definitions import EVALUATED
from palimpsest.results.records import Curve
from palimpsest.results.store.diagnostics import DiagnosticLine, diagnostic_groups
from palimpsest.site.words.text import significant

_BETTER = {"higher": "more is better", "lower": "less is better"}
_SPECTRA = ("singular_value", "update_singular_value")
_SHOWN_RANKS = ("01", "02", "04", "08", "16")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table."""

    title: str
    note: str
    """Layer, and whether it is of the weights as they are scored."""
    help: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One group of diagnostics."""

    key: str
    title: str
    lines: tuple[Line, ...]


def sections(measured: Sequence[Curve]) -> tuple[Section, ...]:
    """All diagnostics of a run by group; of the singular values some ranks."""
    columns = checkpoints(measured)
    found = []
    for group in diagnostic_groups(measured):
        lines = tuple(_line(line, columns) for line in group.lines if _shown(line))
        found.append(Section(group.key, group.title, lines))
    return tuple(found)


def checkpoints(measured: Sequence[Curve]) -> tuple[int, ...]:
    """Numbers of edits at which anything was measured."""
    return tuple(sorted({point.edits for curve in measured for point in curve.points}))


def _shown(line: DiagnosticLine) -> bool:
    return line.part in _SHOWN_RANKS or not line.name.removeprefix(EVALUATED).startswith(_SPECTRA)


def _line(line: DiagnosticLine, columns: tuple[int, ...]) -> Line:
    values = {point.edits: point.value for point in line.points}
    title = line.title
    if line.name.startswith("reported:"):
        title = line.part.replace("_", " ").capitalize()
    elif line.part:
        title = f"{title}, {line.part.lstrip('0')}"
    unit = f"{title} ({line.unit})" if line.unit == "%" else title
    layer = "" if line.layer is None else f"layer {line.layer}"
    note = ", ".join(part for part in (layer, "as scored" if line.evaluated else "") if part)
    better = _BETTER.get(line.direction)
    help_text = line.definition + (f"; {better}" if better else "")
    return Line(unit, note, help_text, tuple(significant(values.get(edits)) for edits in columns))
