"""How a line in a chart looks: colour, dash and marker, chosen so that the same editor looks the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from palimpsest.results.rows import BoardRow

COLOURS = 8
"""Colour classes ``s0`` … ``s7`` in the stylesheet."""
DASHES: tuple[tuple[int, ...], ...] = ((), (7, 4), (2, 3), (10, 3, 2, 3), (5, 2), (1, 4), (12, 4), (7, 2, 1, 2))
MARKERS = ("circle", "square", "triangle", "diamond", "cross", "bar")
_FIRST = ("alphaedit", "memit-seq", "memit", "ft-l", "rome", "nse", "deltaedit", "prune")


@dataclass(frozen=True, slots=True)
class Look:
    """Colour is never alone: dash and marker tell lines apart as well."""

    colour: int
    dash: tuple[int, ...]
    marker: str


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of a legend."""

    key: str
    label: str
    look: Look


def look(index: int, variant: int = 0) -> Look:
    """The look of the editor with this index; ``variant`` counts further lines of the same editor."""
    step = index + 3 * variant
    return Look(index % COLOURS, DASHES[step % len(DASHES)], MARKERS[(index + variant) % len(MARKERS)])


def lines(labels: Sequence[tuple[str, str]]) -> tuple[Line, ...]:
    """Lines for (key, label) pairs, in order."""
    return tuple(Line(key, label, look(i)) for i, (key, label) in enumerate(labels))


def editor_looks(rows: Sequence[BoardRow]) -> dict[str, Look]:
    """Run id → look, for all runs of a track. Well-known editors have fixed colours, others follow by name."""
    others = sorted({row.editor for row in rows} - set(_FIRST))
    order = {name: i for i, name in enumerate((*_FIRST, *others))}
    if others and not any(row.editor in _FIRST[4:] for row in rows):
        order |= {name: 4 + i for i, name in enumerate(others)}
    seen: dict[str, int] = {}
    looks: dict[str, Look] = {}
    for row in sorted(rows, key=lambda r: (r.editor, r.seed, r.run_id)):
        variant = seen.get(row.editor, 0)
        seen[row.editor] = variant + 1
        looks[row.run_id] = look(order[row.editor], variant)
    return looks
