"""The share of a model's general abilities that is kept, above what guessing would give.

    A = Σ_t (s_t − c_t) / (1 − c_t)  ÷  Σ_t (p_t − c_t) / (1 − c_t)

over the ability tasks t, with s the score of the edited model, p that of the unedited one and c the level of chance.
It is a ratio of sums, not a mean of ratios, so that no task near chance is blown up. A task counts if the unedited
model is at least `ERRORS` standard errors above chance. Nothing is cut: less right than by guessing is less than 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

ERRORS = 3.0
"""Standard errors above chance from which on a task counts."""

Floats = NDArray[np.float64]


def counts(pristine: ArrayLike, chance: ArrayLike, items: ArrayLike) -> NDArray[np.bool_]:
    """True for the tasks that count, elementwise: those on which the unedited model is surely above chance.

    The standard error is the larger one of the score's and of guessing's, so that a few items that are all right do not
    pass for certainty.

    Args:
        pristine: The unedited model's scores, 0..1.
        chance: 0..1.
        items: Number of items of each task.
    """
    pristine, chance, items = (np.asarray(value, dtype=np.float64) for value in (pristine, chance, items))
    spread = np.maximum(pristine * (1 - pristine), chance * (1 - chance))
    sure: NDArray[np.bool_] = pristine - chance >= ERRORS * np.sqrt(spread / np.maximum(items, 1))
    return sure & (pristine > chance) & (items > 0)


def above_chance(scores: ArrayLike, chance: ArrayLike) -> Floats:
    """(s − c) / (1 − c), elementwise, for a chance below 1."""
    scores, chance = np.asarray(scores, dtype=np.float64), np.asarray(chance, dtype=np.float64)
    shares: Floats = (scores - chance) / (1.0 - chance)
    return shares


def abilities_kept(scores: ArrayLike, pristine: ArrayLike, chance: ArrayLike, items: ArrayLike) -> float:
    """A in percent; NaN where no task counts. All arguments have shape (tasks,); see `counts`."""
    taken = counts(pristine, chance, items)
    if not taken.any():
        return float("nan")
    scores, pristine, chance = (np.asarray(value, dtype=np.float64)[taken] for value in (scores, pristine, chance))
    return float(100 * above_chance(scores, chance).sum() / above_chance(pristine, chance).sum())
