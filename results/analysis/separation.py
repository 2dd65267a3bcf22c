"""Differences between the rows of a track, all pairs at once, and the interval of each row: one model of variance.

At one seed all editors get the same edits in the same order. So the results of a track form a table of rows × seeds,

    y[i, s] = row i + seed s + residual,    residual ~ Normal(0, variance of row i),   seed ~ Normal(0, τ²),

and two rows are compared by the mean of their differences over the seeds that both have: what a seed does to all rows
cancels out. Three seeds tell next to nothing about the spread of one row, so the rows of a track share one variance
σ². Some rows spread three times as widely as the others, and must neither lend the pool their variance nor borrow its.
Each row is therefore taken to have σ² or 9 σ², the latter with a chance of one in twenty before anything is seen, and
its variance v is the mean of both under what its residuals say. A pair differs if

    |mean difference| > q √((v[i] + v[j]) / 2 n),

where q is the 95 % point of Tukey's studentized range for the number of rows and the degrees of freedom of the table,
and n counts the shared seeds (Tukey 1953; Kramer 1956). How often that finds a true difference, and how often it errs,
is simulated in ``benchmarks/ranking.py``; docs/ranking.md has the table.

The mean of one row over n seeds has the variance (τ² + v[i]) / n. τ² comes from the seeds' effects on all rows, by the
method of moments, and the quantile of the interval is Student's with Satterthwaite's degrees of freedom.

Where all seeds are asked about the same cases, the table says nothing about other cases. What drawing these would do
is then added to both variances; see `separate`.

A row that is the same in all of its courses (it collapsed before its first checkpoint, say) feels no seed. It is left
out of the estimates; against it, what a seed does to another row does not cancel out, so its v is τ².
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from palimpsest.results.analysis.seeds import student_quantile

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
LEAST_SEEDS = 3
"""Courses that a row needs to be ranked, and that two rows must share to be compared."""
LEVEL = 0.05
"""Share of tracks without any difference in which one is claimed."""
WILD_SHARE = 0.05
"""Chance that a row belongs to those that spread widely, before its residuals are seen."""
WILD_RATIO = 9.0
"""Variance of such a row, as a multiple of the others'."""
_ROUNDS = 50
_NOTHING = 1e-9
"""Degrees of freedom that are but rounding."""


@dataclass(frozen=True, slots=True)
class Separation:
    """All pairs of the rows of a track, and each row by itself."""

    difference: Floats
    """Mean of row i − row j over the seeds that both have, (rows, rows); NaN where they share too few."""
    apart: Floats
    """Variance of the difference, (rows, rows); NaN likewise."""
    variance: Floats
    """Variance of one residual of each row, (rows,)."""
    wild: Floats
    """Chance of each row, after its residuals are seen, that it spreads more widely than the others, (rows,)."""
    freedom: float
    """Degrees of freedom of the table of residuals; infinite where nothing varies."""
    half: Floats
    """Half of the 95 % interval of each row's mean, (rows,)."""

    @property
    def least(self) -> Floats:
        """The smallest difference that could be told from none, (rows, rows); NaN where too few seeds are shared."""
        limit = studentized_range(len(self.apart), self.freedom)
        return np.where(self.apart > 0, limit, 1.0) * np.sqrt(self.apart / 2)

    @property
    def better(self) -> Flags:
        """[i, j]: whether row i is surely above row j."""
        found: Flags = self.difference > self.least
        return found


@dataclass(frozen=True, slots=True)
class _Course:
    """Variance of one course about its row's mean, of what a seed does to all rows and of the residual."""

    seed: float
    """τ², at least 0."""
    mean_square: float
    """Of the seeds' effects: its expectation is τ² + ``noise``."""
    noise: float
    """What the residuals add to the mean square."""
    freedom: float
    """Degrees of freedom of the mean square."""


def separate(values: Floats, cases: Floats | None = None) -> Separation:
    """All pairs of rows, and the interval of each.

    Args:
        values: rows × seeds, in the order of the seeds; NaN where a row has no course of a seed. Rows have at least
            `LEAST_SEEDS` courses each.
        cases: Covariance of the means of the rows from drawing other cases, (rows, rows), where all seeds are asked
            about the same ones; None: each seed has its own, and the spread between seeds holds that of cases, too.
    """
    known = ~np.isnan(values)
    moves = np.nanmax(values, axis=1) > np.nanmin(values, axis=1)
    table, there = values[moves], known[moves]
    residuals, freedoms = _residuals(table, there)
    moved, wild = np.zeros((2, len(values)))
    moved[moves], wild[moves] = _variances((residuals**2).sum(axis=1), freedoms)
    course = _seeds(table, there, moved[moves])
    variance = np.where(moves, moved, course.seed)
    left = float(freedoms.sum())
    freedom = left if left > _NOTHING else course.freedom
    drawn = np.zeros((len(values), len(values))) if cases is None else cases
    shared = known.astype(np.int64) @ known.T.astype(np.int64)
    filled = np.where(known, values, 0.0)
    total = filled @ known.T - known.astype(np.float64) @ filled.T
    enough = shared >= LEAST_SEEDS
    count = np.where(enough, shared, 1)
    own = np.diag(drawn)
    apart = np.add.outer(variance, variance) / count + np.maximum(np.add.outer(own, own) - 2 * drawn, 0.0)
    return Separation(
        difference=np.where(enough, total / count, np.nan),
        apart=np.where(enough, apart, np.nan),
        variance=variance,
        wild=wild,
        freedom=freedom,
        half=_halves(np.where(moves, moved, course.noise), known.sum(axis=1), course, left, own),
    )


@lru_cache(maxsize=256)
def studentized_range(rows: int, freedom: float, level: float = LEVEL) -> float:
    """The 1 − ``level`` point of the range of ``rows`` normal values over an independent estimate of their spread."""
    return float(stats.studentized_range.ppf(1 - level, rows, freedom)) if rows > 1 and freedom > 0 else np.inf


def _within(values: Floats, known: Flags) -> tuple[Floats, Floats]:
    """What rows leave, 0 where nothing was measured; and each row's share of each of its seeds, (rows, seeds)."""
    count = known.sum(axis=1, keepdims=True)
    return np.where(known, values - np.nansum(values, axis=1, keepdims=True) / count, 0.0), known / count


def _residuals(values: Floats, known: Flags) -> tuple[Floats, Floats]:
    """What rows and seeds leave by least squares, 0 where nothing was measured; and each row's degrees of freedom."""
    deviation, share = _within(values, known)
    inverse = np.linalg.pinv(np.diag(known.sum(axis=0)) - share.T @ known, hermitian=True)
    effect = inverse @ deviation.sum(axis=0)
    residuals = np.where(known, deviation - effect + (share @ effect)[:, None], 0.0)
    projected = share @ inverse
    leverage = share + np.diag(inverse) - 2 * projected + (projected * share).sum(axis=1, keepdims=True)
    return residuals, np.where(known, 1 - leverage, 0.0).sum(axis=1)


def _variances(squares: Floats, freedoms: Floats) -> tuple[Floats, Floats]:
    """Variance of each row and its chance to be a wild one, by expectation and maximisation from the median row."""
    taken = freedoms > _NOTHING
    if not taken.any() or not squares.any():
        return np.zeros(len(squares)), np.zeros(len(squares))
    own = squares[taken] / freedoms[taken]
    variance = float(np.median(own)) or float(own.mean())
    prior = np.log(WILD_SHARE / (1 - WILD_SHARE)) - freedoms / 2 * np.log(WILD_RATIO)
    for _ in range(_ROUNDS):
        wild = 1 / (1 + np.exp(-np.clip(prior + squares / (2 * variance) * (1 - 1 / WILD_RATIO), -500, 500)))
        variance = float((squares * (1 - wild + wild / WILD_RATIO)).sum() / freedoms.sum())
    return variance * (1 - wild + WILD_RATIO * wild), wild


def _seeds(values: Floats, known: Flags, variance: Floats) -> _Course:
    """Spread of the seeds' effects, rows weighted by their variances: b' C b / tr C with C their information."""
    if not len(values):
        return _Course(0.0, 0.0, 0.0, np.inf)
    unit = float(variance.min()) or 1.0
    weight = (unit / np.where(variance > 0, variance, unit))[:, None]
    deviation, share = _within(values, known)
    information = np.diag((weight * known).sum(axis=0)) - (weight * share).T @ known
    score = (weight * deviation).sum(axis=0)
    size = float(np.trace(information))
    mean_square = float(score @ np.linalg.pinv(information, hermitian=True) @ score) / size
    noise = float(variance.min()) * int(np.linalg.matrix_rank(information, hermitian=True)) / size
    return _Course(max(0.0, mean_square - noise), mean_square, noise, size**2 / float((information**2).sum()))


def _halves(variance: Floats, count: NDArray[np.int64], course: _Course, freedom: float, cases: Floats) -> Floats:
    """Half widths of the rows' intervals.

    Args:
        variance: Of one residual of each row.
        count: Courses of each row.
        course: Spread of the seeds' effects.
        freedom: Degrees of freedom of the residuals.
        cases: Variance of each mean from drawing other cases.
    """
    found = []
    for own, n, drawn in zip(variance.tolist(), count.tolist(), cases.tolist(), strict=True):
        beyond = own - course.noise
        single = max(course.mean_square + beyond, own)
        total = single / n + drawn
        spread = course.mean_square**2 / course.freedom + (beyond**2 / freedom if freedom > _NOTHING else 0.0)
        found.append(student_quantile(total**2 * n**2 / spread if spread > 0 else np.inf) * np.sqrt(total))
    return np.array(found)
