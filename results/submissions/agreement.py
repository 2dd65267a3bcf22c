"""Agreement of two runs of one spec at a checkpoint: every probe and every item, bit by bit and within tolerances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from palimpsest.harness.runs.layout import ABILITIES, PROBES, TEXTS
from palimpsest.results.reading.tables import degrees, filled

_PROBE = ("case_id", "kind", "index")
_SIDES = ("new", "true", "top")


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement at one checkpoint."""

    edits: int
    same_bits: bool
    mean_nats: float
    """Mean absolute difference of the finite likelihoods."""
    different: float
    """Share of probes and ability items that were answered otherwise."""


def compared(theirs: Mapping[str, pa.Table], ours: Mapping[str, pa.Table], edits: int) -> Agreement:
    """Compare the tables of one checkpoint of two runs, by file name."""
    keys: dict[str, tuple[str, ...]] = {PROBES: _PROBE, ABILITIES: ("ability", "item")}
    if TEXTS in theirs and TEXTS in ours:
        keys[TEXTS] = _PROBE
    pairs = [(_sorted(theirs[name], by), _sorted(ours[name], by)) for name, by in keys.items()]
    if any(not one.select(by).equals(other.select(by)) for (one, other), by in zip(pairs, keys.values(), strict=True)):
        return Agreement(edits, same_bits=False, mean_nats=float("inf"), different=1.0)  # other questions
    (probes, own_probes), (items, own_items) = pairs[:2]
    nats = [_nats(probes, own_probes, side) for side in ("nll_new", "nll_true")]
    outcomes = [_unequal(probes, own_probes, f"{what}_{side}") for what in ("exact", "hits") for side in _SIDES]
    outcomes += [_unequal(probes, own_probes, name) for name in ("hits_fed", "hits_first")]
    answered = np.concatenate([np.any(outcomes, axis=0), degrees(items) != degrees(own_items)])
    return Agreement(
        edits,
        same_bits=all(one.equals(other) for one, other in pairs),
        mean_nats=float(np.concatenate(nats).mean()) if len(probes) else 0.0,
        different=float(answered.mean()) if answered.size else 0.0,
    )


def _sorted(table: pa.Table, by: Sequence[str]) -> pa.Table:
    return table.sort_by([(name, "ascending") for name in by]).combine_chunks()


def _nats(one: pa.Table, other: pa.Table, column: str) -> NDArray[np.float64]:
    """Absolute differences; infinite where only one of the two is a number."""
    a, b = one[column].to_numpy(), other[column].to_numpy()
    with np.errstate(invalid="ignore"):
        difference = np.abs(a - b)
    neither = ~np.isfinite(a) & ~np.isfinite(b)
    return np.where(neither, 0.0, np.where(np.isfinite(a) & np.isfinite(b), difference, np.inf))


def _unequal(one: pa.Table, other: pa.Table, column: str) -> NDArray[Any]:
    unequal: NDArray[Any] = filled(one, column) != filled(other, column)
    return unequal
