"""The table of all metrics, each with its exact definition: the entries of ``definitions.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["preference", "argmax", "generation", "ability", "diagnostic", "cost", "headline"]
Direction = Literal["higher", "lower", "none"]
Applies = Literal["counterfact", "zsre", "any"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing that is measured, with its exact definition."""

    name: str
    kind: Kind
    direction: Direction
    """Direction that is better; ``none`` where neither is."""
    unit: str
    definition: str
    applies: Applies = "any"
    since_protocol: int = 1
    title: str = ""
    """Title of a diagnostic, as the page shows it."""
    group: str = ""
    """Key of `palimpsest.harness.metrics.diagnostic_definitions.GROUPS`; empty for what is no diagnostic of weights."""


_TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
METRICS: tuple[Metric, ...] = tuple(Metric(name, **entry) for name, entry in _TABLE.items())
_BY_NAME = {entry.name: entry for entry in METRICS}


def metric(name: str) -> Metric:
    """The record of one metric; `KeyError` for a name that is not in `METRICS`."""
    return _BY_NAME[name]
