"""A run's diagnostics as the page shows them: in groups, each line with its title, unit, definition and course."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from palimpsest.harness.metrics.diagnostic_definitions import EVALUATED, GROUPS, RECORDS, record
from palimpsest.results.records import Curve, CurvePoint

OTHER = "other"


@dataclass(frozen=True, slots=True)
class DiagnosticLine:
    """One diagnostic of one layer over the checkpoints."""

    name: str
    """As stored, without the layer: ``update_norm``, ``evaluated_update_norm``, ``singular_value:03``."""
    part: str
    """Part behind the record's name: ``03``, a parameter, a counter; empty for most."""
    layer: int | None
    title: str
    unit: str
    direction: str
    """``higher`` or ``lower`` is better, or ``none``."""
    definition: str
    evaluated: bool
    """True for one of the weights as they are scored, where the editor scores others than it writes."""
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True)
class DiagnosticGroup:
    """Diagnostics that belong together."""

    key: str
    """A key of `palimpsest.harness.metrics.diagnostic_definitions.GROUPS`, or `OTHER`."""
    title: str
    lines: tuple[DiagnosticLine, ...]


def diagnostic_groups(curves: Iterable[Curve]) -> tuple[DiagnosticGroup, ...]:
    """Groups in the order in which they are shown; lines by name and layer, the records' order first.

    Args:
        curves: diagnostics of one run; the metric is ``<name>:<layer>``, or the name alone.
    """
    found: dict[str, list[DiagnosticLine]] = {}
    for curve in curves:
        group, line = _line(curve)
        found.setdefault(group, []).append(line)
    titles = GROUPS | {OTHER: "Others"}
    return tuple(
        DiagnosticGroup(key, title, tuple(sorted(found[key], key=_order)))
        for key, title in titles.items()
        if key in found
    )


def _line(curve: Curve) -> tuple[str, DiagnosticLine]:
    name, _, last = curve.metric.rpartition(":")
    layer = int(last) if name and last.isascii() and last.isdecimal() else None
    name = curve.metric if layer is None else name
    base, _, part = name.partition(":")
    known = record(name)
    plain = base.removeprefix(EVALUATED)
    return (known.group if known else OTHER), DiagnosticLine(
        name=name,
        part=part,
        layer=layer,
        title=known.title if known else plain.replace("_", " ").capitalize(),
        unit=known.unit if known else "1",
        direction=known.direction if known else "none",
        definition=known.definition if known else "",
        evaluated=base != plain,
        points=curve.points,
    )


def _order(line: DiagnosticLine) -> tuple[int, str, bool, int]:
    known = record(line.name)
    return (RECORDS.index(known) if known else 0), line.part, line.evaluated, -1 if line.layer is None else line.layer
