"""Axes of a tuning: a field with its values in order, how they go on beyond both ends, and grids of axes from files."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from palimpsest.harness.errors import ConfigError
from palimpsest.harness.system.validation_messages import shown

_FIELDS = {"values", "published", "least", "most"}


@dataclass(frozen=True, slots=True)
class Axis:
    """A field and its values in order. Places are counted from 0; halves lie between two values."""

    name: str
    values: tuple[Any, ...]
    published: int
    """Place of the published value, where the search begins."""
    least: float = -math.inf
    """Values go on below the list down to here, if they are numbers."""
    most: float = math.inf
    closed: bool = False
    """The list has all values there are."""

    @property
    def numeric(self) -> bool:
        """True where all values are numbers."""
        return all(_is_number(value) for value in self.values)

    def value(self, place: float) -> Any:
        """The value at a place, a number beyond the list by the ratio of its last two; None: there is none."""
        low = math.floor(place)
        if place == low:
            return self._at(low)
        return None if self.closed else _between(self._at(low), self._at(low + 1), place - low)

    def _at(self, place: int) -> Any:
        last = len(self.values) - 1
        if 0 <= place <= last:
            return self.values[place]
        if self.closed or last < 1:
            return None
        edge, inner, steps = (0, 1, -place) if place < 0 else (last, last - 1, place - last)
        found = _beyond(self.values[edge], self.values[inner], steps)
        return found if found is not None and self.least <= found <= self.most else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _like(value: float, *others: Any, digits: int = 2) -> float:
    """A number with that many digits; whole where the others are."""
    return round(value) if all(isinstance(other, int) for other in others) else float(f"{value:.{digits}g}")


def _beyond(edge: Any, inner: Any, steps: int) -> Any:
    """The number that many steps beyond the edge, each by the ratio of the edge to its neighbour; None: none."""
    if not (_is_number(edge) and _is_number(inner) and edge > 0 and inner > 0):
        return None
    found = _like(edge * (edge / inner) ** steps, edge, inner)
    return found if found != edge and found > 0 else None


def _between(low: Any, high: Any, share: float) -> Any:
    """The number between two, by ratio where both are above 0; None: none."""
    if not (_is_number(low) and _is_number(high)):
        return None

    def at(part: float, digits: int) -> float:
        exact = low ** (1 - part) * high**part if min(low, high) > 0 else low + (high - low) * part
        return _like(exact, low, high, digits=digits)

    # Two digits, or three where two cannot tell the quarters between these numbers from each other.
    digits = 2 if len({low, high, *(at(part, 2) for part in (0.25, 0.5, 0.75))}) == 5 else 3
    found = at(share, digits)
    return found if min(low, high) < found < max(low, high) else None


def read_grids(path: Path) -> dict[str, Any]:
    """A file of grids.

    Raises:
        ConfigError: It is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML ({error}).") from None


def axes_of(grid: Mapping[str, Any], place: str, now: Mapping[str, Any]) -> list[Axis]:
    """The axes of a grid.

    Args:
        grid: Field → list of its values, or table with ``values`` in order, the ``published`` one, and the ``least``
            and ``most`` that a number may be. A plain list has all values there are; those of a table go on by
            themselves where they are numbers.
        place: Where the grid stands, for messages.
        now: Field → value that the editor has without tuning: the published one of a plain list that holds it; else
            the search begins with the list's first.

    Raises:
        ConfigError: Lists every problem.
    """
    axes: list[Axis] = []
    problems: list[str] = []
    for name, given in grid.items():
        table = given
        if isinstance(given, list):
            table = {"values": given, "published": now[name] if now.get(name) in given else next(iter(given), None)}
        problem = _problem(table)
        if problem:
            problems.append(f"{place}, {name}: {problem}")
            continue
        values = table["values"]
        bounds = {key: float(table[key]) for key in ("least", "most") if key in table}
        axes.append(
            Axis(name, tuple(values), values.index(table["published"]), **bounds, closed=isinstance(given, list))
        )
    if not grid:
        problems.append(f"{place}: no field with values.")
    if problems:
        raise ConfigError("\n".join(problems))
    return axes


def within(axes: Sequence[Axis], blocks: int | None) -> list[Axis]:
    """The same axes, that of the block no further than a model has blocks; ``blocks`` is None where nobody knows."""
    if blocks is None:
        return list(axes)
    return [replace(axis, most=min(axis.most, blocks - 1)) if axis.name == "layer" else axis for axis in axes]


def _problem(table: Any) -> str | None:
    """Fault of the table of an axis."""
    if not isinstance(table, dict) or not isinstance(table.get("values"), list) or not table["values"]:
        given = table.get("values") if isinstance(table, dict) and "values" in table else table
        return f"expected a list of values, got {shown(given)}."
    strange = sorted(table.keys() - _FIELDS)
    if strange:
        return f"{strange[0]} is not a field; there are {', '.join(sorted(_FIELDS))}."
    values = table["values"]
    if any(values.count(value) > 1 for value in values):
        return "a value is there twice."
    if table.get("published") not in values:
        return f"published: expected one of the values, got {shown(table.get('published'))}."
    wrong = [key for key in ("least", "most") if key in table and not _is_number(table[key])]
    return f"{wrong[0]}: expected a number, got {shown(table[wrong[0]])}." if wrong else None
