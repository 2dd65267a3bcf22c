"""Differences between the rows of a track: all pairs at once, paired by seed.

At one seed all editors get the same edits in the same order. So the results of a track form a table of rows × seeds,

    y[i, s] = row i + seed s + residual,    residual ~ Normal(0, variance of row i),

and two rows are compared by the mean of their differences over the seeds that both have: what a seed does to all rows
cancels out. Three seeds tell next to nothing about the spread of one row, so the rows of a track share one variance
σ². Some rows spread three times as widely as the others, and must neither lend the pool their variance nor borrow its.
Each row is therefore taken to have σ² or 9 σ², the latter with a chance of one in twenty before anything is seen, and
its variance is the mean of both under what its residuals say. A pair differs if

    |mean difference| > q √((v[i] + v[j]) / 2 n),

where q is the 95 % point of Tukey's studentized range for the number of rows and the degrees of freedom of the table,
and n counts the shared seeds (Tukey 1953; Kramer 1956). How often that finds a true difference, and how often it errs,
is simulated in ``benchmarks/ranking.py``; docs/ranking.md has the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
LEAST_SEEDS = 3
"""Courses that a row needs to be ranked, and that two rows must share to be compared."""
LEVEL = 0.05
"""Share of tracks without any difference in which one is claimed."""
WILD_SHARE = 0.05
"""Chance that a row belongs to those that spread widely, before its residuals are seen."""
WILD_RATIO = 9.0
"""Variance of such a row, as a multiple of the others'."""
_ROUNDS = 50


@dataclass(frozen=True, slots=True)
class Separation:
    """All pairs of the rows of a track."""

    difference: Floats
    """Mean of row i − row j over the seeds that both have, (rows, rows); NaN where they share too few."""
    least: Floats
    """The difference that would be the smallest to be told from none, (rows, rows); NaN likewise."""
    variance: Floats
    """Variance of one residual of each row, (rows,)."""
    wild: Floats
    """Chance of each row, after its residuals are seen, that it spreads more widely than the others, (rows,)."""
    freedom: float
    """Degrees of freedom of the table of residuals."""

    @property
    def better(self) -> NDArray[np.bool_]:
        """[i, j]: whether row i is surely above row j."""
        found: NDArray[np.bool_] = self.difference > self.least
        return found


def separate(values: Floats) -> Separation:
    """All pairs of rows.

    Args:
        values: rows × seeds, in the order of the seeds; NaN where a row has no course of a seed. Rows have at least
            `LEAST_SEEDS` courses each.
    """
    known = ~np.isnan(values)
    residuals, freedoms = _residuals(values, known)
    freedom = float(freedoms.sum())
    variance, wild = _variances((residuals**2).sum(axis=1), freedoms)
    shared = known.astype(np.int64) @ known.T.astype(np.int64)
    filled = np.where(known, values, 0.0)
    total = filled @ known.T - known.astype(np.float64) @ filled.T
    enough = shared >= LEAST_SEEDS
    count = np.where(enough, shared, 1)
    q = studentized_range(len(values), freedom)
    least = q * np.sqrt(np.add.outer(variance, variance) / 2 / count)
    return Separation(np.where(enough, total / count, np.nan), np.where(enough, least, np.nan), variance, wild, freedom)


@lru_cache(maxsize=256)
def studentized_range(rows: int, freedom: float, level: float = LEVEL) -> float:
    """The 1 − ``level`` point of the range of ``rows`` normal values over an independent estimate of their spread."""
    return float(stats.studentized_range.ppf(1 - level, rows, freedom)) if rows > 1 and freedom > 0 else np.inf


def _residuals(values: Floats, known: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Residuals that rows and seeds leave, 0 where nothing was measured; and each row's degrees of freedom."""
    row, seed = np.nonzero(known)
    design = np.concatenate([np.eye(known.shape[0])[row], np.eye(known.shape[1])[seed]], axis=1)
    hat = design @ np.linalg.pinv(design)
    residuals = np.zeros(values.shape)
    measured = values[known]
    residuals[known] = measured - hat @ measured
    freedoms = np.zeros(len(values))
    np.add.at(freedoms, row, 1 - np.diag(hat))
    return residuals, freedoms


def _variances(squares: Floats, freedoms: Floats) -> tuple[Floats, Floats]:
    """Variance of each row and its chance to be a wild one, by expectation and maximisation from the median row."""
    taken = freedoms > 1e-9
    if not taken.any() or not squares.any():
        return np.zeros(len(squares)), np.zeros(len(squares))
    own = squares[taken] / freedoms[taken]
    variance = float(np.median(own)) or float(own.mean())
    prior = np.log(WILD_SHARE / (1 - WILD_SHARE)) - freedoms / 2 * np.log(WILD_RATIO)
    for _ in range(_ROUNDS):
        wild = 1 / (1 + np.exp(-np.clip(prior + squares / (2 * variance) * (1 - 1 / WILD_RATIO), -500, 500)))
        variance = float((squares * (1 - wild + wild / WILD_RATIO)).sum() / freedoms.sum())
    return variance * (1 - wild + WILD_RATIO * wild), wild
