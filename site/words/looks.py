"""Looks of a line in a chart: colour, dash and marker, chosen so that the same editor looks the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


def row_looks(editors: Mapping[str, str]) -> dict[str, Look]:
    """Row id → look, for the rows of a track. Well-known editors have fixed colours, others follow by name."""
    others = sorted(set(editors.values()) - set(_FIRST))
    order = {name: i for i, name in enumerate((*_FIRST, *others))}
    if others and not any(name in _FIRST[4:] for name in editors.values()):
        order |= {name: 4 + i for i, name in enumerate(others)}
    # The first of each editor before the further ones, so that these give way.
    count: dict[str, int] = {}
    turns = []
    for key, name in sorted(editors.items(), key=lambda item: (item[1], item[0])):
        turns.append((count.get(name, 0), order[name], key))
        count[name] = count.get(name, 0) + 1
    looks: dict[str, Look] = {}
    taken: set[tuple[object, ...]] = set()
    for variant, index, key in sorted(turns):
        tries = (look(index, variant + further) for further in range(len(DASHES) * len(MARKERS)))
        found = next((one for one in tries if (one.dash, one.marker) not in taken), look(index, variant))
        taken.add((found.dash, found.marker))
        looks[key] = found
    return looks
