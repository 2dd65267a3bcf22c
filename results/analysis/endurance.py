"""Number of edits that a model endures: the first crossing of a share of the starting value, between checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ENDURANCE_SHARE = 0.8
HALF_LIFE_SHARE = 0.5

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Endurance:
    """A number of edits survived; exactly one of the two is set, or neither when nothing was measured."""

    edits: float | None = None
    """Edits, interpolated between checkpoints, after which the value first fell under its share of the start."""
    censored_at: int | None = None
    """The value never fell under the share up to this last checkpoint: shown as ``> N``."""


def endurance(points: Sequence[tuple[float, float]], share: float = ENDURANCE_SHARE) -> Endurance:
    """First number of edits at which the value falls under ``share`` times the value of the first point.

    Args:
        points: (edits, value) in ascending order of edits; the first is the start. A value that is not finite counts
            as 0, so does every checkpoint after a collapse.
        share: 0.8 for endurance, 0.5 for the half-life.

    Returns:
        The crossing, interpolated linearly between the checkpoint before and the first one under the share. Nothing
        was ever learned when the start is 0: the result is then 0 edits.
    """
    if not points:
        return Endurance()
    edits = np.array([point[0] for point in points], dtype=np.float64)
    crossing = float(first_crossing(edits, np.array([[point[1] for point in points]]), share)[0])
    return Endurance(edits=crossing) if np.isfinite(crossing) else Endurance(censored_at=int(edits[-1]))


def first_crossing(edits: Floats, values: Floats, share: float) -> Floats:
    """`endurance` for many curves at once, as the bootstrap needs it.

    Args:
        edits: Shape (points,), ascending.
        values: Shape (curves, points); entries that are not finite count as 0.
        share: Share of each curve's own first value.

    Returns:
        Shape (curves,): edits at the crossing, infinity where there is none, 0 where the first value is 0 or below.
    """
    values = np.where(np.isfinite(values), values, 0.0)
    limit = share * values[:, :1]
    under = values < limit
    crossed = under.any(axis=1)
    after = np.where(crossed, under.argmax(axis=1), 1)
    rows, before = np.arange(len(values)), after - 1
    if values.shape[1] > 1:
        high, low = values[rows, before], values[rows, after]
        part = (high - limit[:, 0]) / np.where(crossed, high - low, 1.0)
        at = edits[before] + part * (edits[after] - edits[before])
        result = np.where(crossed, at, np.inf)
    else:
        result = np.full(len(values), np.inf)
    return np.where(values[:, 0] <= 0, 0.0, result)


def smaller(one: Endurance, other: Endurance) -> Endurance:
    """The smaller of two; ``> N`` only if both are. One that was not measured is left out."""
    measured = [e for e in (one, other) if e != Endurance()]
    reached = [e.edits for e in measured if e.edits is not None]
    open_ends = [e.censored_at for e in measured if e.censored_at is not None]
    if reached and (not open_ends or min(reached) <= min(open_ends)):
        return Endurance(edits=min(reached))
    return Endurance(censored_at=min(open_ends)) if open_ends else Endurance()
