"""Looks of an editor's lines: colour, dash and marker, the same on every page of a site."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

COLOURS = 12
"""Colour classes ``s0`` … ``s11`` in the stylesheet."""
DASHES: tuple[tuple[int, ...], ...] = ((), (7, 4), (2, 3), (10, 3, 2, 3), (5, 2), (1, 4), (12, 4), (7, 2, 1, 2))
MARKERS = ("circle", "square", "triangle", "diamond", "cross", "bar")
SHAPES = tuple(
    (DASHES[i % len(DASHES)], MARKERS[(i + i // 24) % len(MARKERS)]) for i in range(len(DASHES) * len(MARKERS))
)
"""Every pair of a dash and a marker; neighbours differ in both. After 24 both lists stand at their start again."""
Choice = TypeVar("Choice", int, tuple[tuple[int, ...], str])
KNOWN = ("alphaedit", "memit-seq", "memit", "ft-l", "rome", "nse", "deltaedit", "r-rome", "ft")
"""Editors that have the same look on every site, too."""


@dataclass(frozen=True, slots=True)
class Look:
    """Colour is never alone: dash and marker tell lines apart as well."""

    colour: int
    dash: tuple[int, ...]
    marker: str

    @property
    def data(self) -> tuple[int, tuple[int, ...], str]:
        """As the page's scripts read it."""
        return (self.colour, self.dash, self.marker)


def editor_looks(names: Iterable[str], given: Mapping[str, Look] | None = None) -> dict[str, Look]:
    """Editor → look, for all editors of a site.

    Up to `COLOURS` editors have a colour each, and up to ``len(SHAPES)`` a dash and marker each. An editor that is not
    `KNOWN` begins to seek at a place that its name says, so that a further editor changes few looks of others.

    Args:
        names: Names of editors and compositions.
        given: Looks that are settled; their editors are in the result, too.
    """
    looks = dict(given or {})
    wanted = set(names) - set(looks)
    starts = {name: place for place, name in enumerate(KNOWN) if name in wanted}
    starts |= {name: zlib.crc32(name.encode("utf-8", "replace")) for name in sorted(wanted - set(KNOWN))}
    for name, start in starts.items():
        colour = _least_used(range(COLOURS), [look.colour for look in looks.values()], start)
        shape = _least_used(SHAPES, [(look.dash, look.marker) for look in looks.values()], start)
        looks[name] = Look(colour, *shape)
    return looks


def row_looks(rows: Mapping[str, str], site: Mapping[str, Look]) -> dict[str, Look]:
    """Row id → look, for the rows of a track.

    The first row of an editor looks as the editor does everywhere. Its further rows share the colour and take a dash
    and marker that no other row of the track has, while there are any.

    Args:
        rows: Row id → editor, the first of each editor before the further ones.
        site: Looks of all editors of the site.
    """
    looks: dict[str, Look] = {}
    shown: set[str] = set()
    for key, name in rows.items():
        if name not in shown:
            looks[key] = site[name]
            shown.add(name)
    for key, name in rows.items():
        if key not in looks:
            taken = [(look.dash, look.marker) for look in looks.values()]
            looks[key] = Look(site[name].colour, *_least_used(SHAPES, taken, SHAPES.index(taken[-1]) + 1))
    return looks


def _least_used(choices: Iterable[Choice], used: Iterable[Choice], start: int) -> Choice:
    """The choice that is used least, the first of them from a place on."""
    count, listed = Counter(used), list(choices)
    turned = listed[start % len(listed) :] + listed[: start % len(listed)]
    return min(turned, key=lambda choice: count[choice])
