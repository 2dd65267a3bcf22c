"""Diagnostics as they are stored, and the way from a stored name to its definition.

A diagnostic is stored under its name in ``definitions.toml``, with the layer beside it where it belongs to one. Behind
a colon may stand which of several it is: ``singular_value:03``, ``weight_norm:some.parameter``, ``reported:epochs``.
`EVALUATED` before a name means: the same of the weights as they are scored, where the editor scores others than it
writes (PRUNE).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from palimpsest.harness.metrics.definitions import METRICS, Metric

Level = Literal["cheap", "full"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""``full``: also what costs more. No part of a run's identity."""
EVALUATED = "evaluated_"

GROUPS = {
    "size": "Size of the weights",
    "spectrum": "Singular values and directions",
    "sphere": "Neurons on the sphere",
    "noise": "What edits do to each other",
    "drift": "Drift of outputs",
    "targets": "Targets",
    "events": "What the editor reports",
    "cache": "Keys of the edits",
}
"""Group → its title, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One number, as it is stored."""

    name: str
    """That of a record, see the module's description."""
    layer: int | None
    """Block of the down-projection; None for what belongs to none."""
    value: float


RECORDS: tuple[Metric, ...] = tuple(entry for entry in METRICS if entry.group)
_BY_NAME = {entry.name: entry for entry in RECORDS}


def record(name: str) -> Metric | None:
    """The definition behind a stored name, or None for a name that is not ours."""
    return _BY_NAME.get(name.removeprefix(EVALUATED).partition(":")[0])
