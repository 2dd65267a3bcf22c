"""Effective edits: how many edits a model holds, each weighted by how well they are held. Pure functions of arrays.

After n edits let E, P and S be efficacy, paraphrase and neighborhood of all edits so far (argmax form; token accuracy
for questions), S₀ the neighborhood of the unedited model, and A the share of its abilities that is kept. Then

    h(n) = 4 / (1 / E + 1 / P + 1 / min(1, S / S₀) + 1 / min(1, A))        0 if any of the four is 0
    effective edits = ∫₀ᴺ h(n) dn

by trapezoids between the checkpoints n₁ < n₂ < … ≤ N, with h(0) := h(n₁). From a collapse after c good edits on, h is
0: (c, 0) is a point of the curve. The unit is edits, the value is at most N, and nothing is censored. For a falling h
it is the mean, over all thresholds t from 0 to 1, of the number of edits until h < t.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

THRESHOLDS = (0.8, 0.5)
"""Values of h for which the edits until it falls under them are told."""

Floats = NDArray[np.float64]


def quality(
    efficacy: ArrayLike,
    paraphrase: ArrayLike,
    neighborhood: ArrayLike,
    unedited: ArrayLike,
    abilities: ArrayLike,
    most: float = 1.0,
) -> Floats:
    """h, elementwise: the harmonic mean of four shares, 0 where one of them is 0.

    A share that is NaN was not measured and is left out: the mean is then over the others. NaN where all are.

    Args:
        efficacy: 0..1.
        paraphrase: 0..1.
        neighborhood: 0..1.
        unedited: The neighborhood of the unedited model. NaN: not measured, then the neighborhood counts as it is. 0:
            nothing was there to be lost, then it counts as kept.
        abilities: The share of abilities kept; below 0 it counts as 0.
        most: Value at which S / S₀ and A are cut off.
    """
    neighborhood = np.asarray(neighborhood, dtype=np.float64)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        base = np.where(np.isnan(unedited), 1.0, unedited)
        near = np.where(base > 0, np.minimum(most, neighborhood / base), np.where(np.isnan(neighborhood), np.nan, 1.0))
        parts = np.stack(np.broadcast_arrays(efficacy, paraphrase, near, np.clip(abilities, 0.0, most)))
        measured = ~np.isnan(parts)
        mean = measured.sum(axis=0) / np.where(measured, 1.0 / parts, 0.0).sum(axis=0)
    return np.where((parts <= 0).any(axis=0), 0.0, mean)


def course(edits: ArrayLike, values: ArrayLike, collapsed_at: int | None = None) -> tuple[Floats, Floats]:
    """The whole curve of h as points: from 0 edits on, and down to 0 at a collapse.

    Args:
        edits: Checkpoints with edits that were scored, ascending; shape (points,).
        values: h at each; shape (..., points).
        collapsed_at: Good edits before the collapse; None: there was none.

    Returns:
        Edits, and values of as many points.
    """
    edits, values = np.asarray(edits, dtype=np.float64), np.asarray(values, dtype=np.float64)
    edits, values = np.concatenate([[0.0], edits]), np.concatenate([values[..., :1], values], axis=-1)
    if collapsed_at is None:
        return edits, values
    return np.append(edits, collapsed_at), np.concatenate([values, np.zeros_like(values[..., :1])], axis=-1)


def effective_edits(edits: Floats, values: Floats) -> Floats:
    """The area under curves of h; shape (...,).

    Args:
        edits: Shape (points,), ascending; from `course`.
        values: Shape (..., points).
    """
    return np.asarray(np.trapezoid(values, edits, axis=-1), dtype=np.float64)


def edits_until(edits: Floats, values: Floats, limit: ArrayLike) -> Floats:
    """Edits after which curves first fall under a limit, by straight lines between points; infinity where they do not.

    Args:
        edits: Shape (points,), ascending.
        values: Shape (curves, points).
        limit: One, or one per curve. A value exactly on it is not under it.

    Returns:
        Shape (curves,).
    """
    limits = np.broadcast_to(np.asarray(limit, dtype=np.float64), values.shape[:1])
    under = values < limits[:, None]
    after = under.argmax(axis=1)
    rows, before = np.arange(len(values)), np.maximum(after - 1, 0)
    high, low = values[rows, before], values[rows, after]
    part = np.where(high > low, (high - limits) / np.where(high > low, high - low, 1.0), 0.0)
    at = edits[before] + part * (edits[after] - edits[before])
    return np.where(under.any(axis=1), at, np.inf)
