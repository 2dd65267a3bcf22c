"""Differences between the rows of a track, all pairs at once, and the interval of each row: one model of variance.

At one seed all editors get the same edits in the same order. So the results of a track form a table of rows × seeds,

    y[i, s] = row i + seed s + residual,    residual ~ Normal(0, variance of row i),   seed ~ Normal(0, τ²),

and two rows are compared by the mean of their differences over the seeds that both have: what a seed does to all rows
cancels out. Three seeds tell next to nothing about the spread of one row, so the rows of a track share one variance
σ². Some rows spread three times as widely as the others, one that collapses in some of its courses thirty times, and
they must neither lend the pool their variance nor borrow its. Each row is therefore taken to have σ² or one of 9, 81,
729 and 6,561 σ²: more than σ² with a chance of one in twenty before anything is seen, each step a tenth as likely as
the one before. Its variance v is the mean of these under what its residuals say. A pair differs if

    |mean difference| > q √((v[i] + v[j]) / 2 n),

where q is the 95 % point of Tukey's studentized range for the number of rows and the degrees of freedom of the table,
and n counts the shared seeds (Tukey 1953; Kramer 1956). How often that finds a true difference, and how often it errs,
is simulated in ``benchmarks/ranking.py``; docs/ranking.md has the table.

The mean of one row over n seeds has the variance (τ² + v[i]) / n. τ² comes from the seeds' effects on all rows, by the
method of moments, and the quantile of the interval is Student's with Satterthwaite's degrees of freedom. There every
row is taken to spread widely with a chance of 20 % beforehand; with less, the intervals of those that do would
hold too seldom.

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
from palimpsest.results.records import LEAST_COURSES

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
LEVEL = 0.05
"""Share of tracks without any difference in which one is claimed."""
WILD_SHARE = 0.05
"""Chance that a row belongs to those that spread widely, before its residuals are seen."""
DOUBTED_SHARE = 0.2
"""The same for intervals: a wide row that went unnoticed spoils few of all pairs, but all of its interval."""
RATIOS = 9.0 ** np.arange(5)
"""Variances that a row may have, as multiples of σ²."""
_STEPS = 0.1 ** np.arange(4)
"""Weights of the multiples above 1 before anything is seen."""
_ROUNDS = 50
_CLOSE = 1e-6
"""Relative change of σ² from which on no further round is worth it."""
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
class _Residuals:
    """Residuals that rows and seeds leave of a table by least squares."""

    squares: Floats
    """Sum of squares of each row."""
    freedoms: Floats
    """Degrees of freedom of each row."""
    variance: float
    """σ², of one residual of an ordinary row."""

    def chances(self, wild: float = WILD_SHARE) -> Floats:
        """Chance of each row to have each of `RATIOS`, if a share ``wild`` of all spread widely; (rows, ratios)."""
        before = np.array([1 - wild, *wild * _STEPS / _STEPS.sum()])
        if self.variance == 0:
            return np.tile(np.eye(len(RATIOS))[0], (len(self.squares), 1))
        seen = self.squares[:, None] / (2 * self.variance * RATIOS)
        odds = np.log(before) - self.freedoms[:, None] / 2 * np.log(RATIOS) - seen
        chances = np.exp(odds - odds.max(axis=1, keepdims=True))
        return np.asarray(chances / chances.sum(axis=1, keepdims=True))

    def of_rows(self, chances: Floats) -> Floats:
        """Variance of one residual of each row."""
        return np.asarray(self.variance * (chances @ RATIOS))


@dataclass(frozen=True, slots=True)
class _Seeds:
    """Effects of seeds on all rows."""

    mean_square: float
    """Its expectation is τ² + ``noise``."""
    noise: float
    """Part of the mean square that the residuals add."""
    freedom: float
    """Degrees of freedom of the mean square; infinite where nothing moves."""

    @property
    def variance(self) -> float:
        """τ²."""
        return max(0.0, self.mean_square - self.noise)


def separate(values: Floats, cases: Floats | None = None) -> Separation:
    """All pairs of rows, and the interval of each.

    Args:
        values: rows × seeds, in the order of the seeds; NaN where a row has no course of a seed. Rows have at least
            `LEAST_COURSES` courses each.
        cases: Covariance of the means of the rows from drawing other cases, (rows, rows), where all seeds are asked
            about the same ones; None: each seed has its own, and the spread between seeds holds that of cases, too.
    """
    known = ~np.isnan(values)
    drawn = np.zeros((len(values), len(values))) if cases is None else cases
    moves = np.nanmax(values, axis=1) > np.nanmin(values, axis=1)
    residuals = _residuals(values[moves], known[moves])
    chances = residuals.chances()
    seeds = _seeds(values[moves], known[moves], residuals.of_rows(chances))
    variance, wild = np.full(len(values), seeds.variance), np.zeros(len(values))
    wild[moves] = 1 - chances[:, 0]
    variance[moves] = residuals.of_rows(chances)
    single, freedom = _course(residuals, seeds)
    half = _halves(np.full(len(values), seeds.variance), np.full(len(values), seeds.freedom), known.sum(axis=1), drawn)
    half[moves] = _halves(single, freedom, known[moves].sum(axis=1), drawn[np.ix_(moves, moves)])
    difference, count = _differences(values, known)
    own = np.diag(drawn)
    apart = np.add.outer(variance, variance) / count + np.maximum(np.add.outer(own, own) - 2 * drawn, 0.0)
    left = float(residuals.freedoms.sum())
    return Separation(difference, apart, variance, wild, left if left > _NOTHING else seeds.freedom, half)


@lru_cache(maxsize=256)
def studentized_range(rows: int, freedom: float, level: float = LEVEL) -> float:
    """The 1 − ``level`` point of the range of ``rows`` normal values over an independent estimate of their spread."""
    return float(stats.studentized_range.ppf(1 - level, rows, freedom)) if rows > 1 and freedom > 0 else np.inf


def _differences(values: Floats, known: Flags) -> tuple[Floats, Floats]:
    """Mean difference of every two rows over the seeds that both have, and how many; NaN for fewer than enough."""
    shared = known.astype(np.float64) @ known.T
    filled = np.where(known, values, 0.0)
    count = np.where(shared >= LEAST_COURSES, shared, np.nan)
    return (filled @ known.T - known.astype(np.float64) @ filled.T) / count, count


def _within(values: Floats, known: Flags) -> tuple[Floats, Floats]:
    """Deviations from the rows' means, 0 where nothing was measured; and the share of each course in its row's mean."""
    count = known.sum(axis=1, keepdims=True)
    return np.where(known, values - np.nansum(values, axis=1, keepdims=True) / count, 0.0), known / count


def _residuals(values: Floats, known: Flags) -> _Residuals:
    """Residuals of rows and seeds; σ² by expectation and maximisation over the spreads of rows, from the median row on.

    A row that spreads widely counts for less in the effects of seeds, too: else its spread would be in all residuals.
    """
    squares, freedoms = _fit(values, known, np.ones(len(values)))
    taken = freedoms > _NOTHING
    if not taken.any() or not squares.any():
        return _Residuals(squares, freedoms, 0.0)
    own = squares[taken] / freedoms[taken]
    found = _Residuals(squares, freedoms, float(np.median(own)) or float(own.mean()))
    for _ in range(_ROUNDS):
        before, weights = found.variance, found.chances() @ (1 / RATIOS)
        squares, freedoms = _fit(values, known, weights)
        found = _Residuals(squares, freedoms, float((squares * weights).sum() / freedoms.sum()))
        if abs(found.variance - before) <= _CLOSE * before:
            break
    return found


def _of_seeds(values: Floats, known: Flags, weights: Floats) -> tuple[Floats, Floats]:
    """Information C and score c of the seeds' effects b, which C b = c has by least squares with weights of rows."""
    deviation, share = _within(values, known)
    weight = weights[:, None]
    information = np.diag((weight * known).sum(axis=0)) - (weight * share).T @ known
    return information, (weight * deviation).sum(axis=0)


def _fit(values: Floats, known: Flags, weights: Floats) -> tuple[Floats, Floats]:
    """Squares and degrees of freedom that rows and seeds leave of each row, by least squares with weights of rows."""
    deviation, share = _within(values, known)
    information, score = _of_seeds(values, known, weights)
    inverse = np.linalg.pinv(information, hermitian=True)
    effect = inverse @ score
    squares = (np.where(known, deviation - effect + (share @ effect)[:, None], 0.0) ** 2).sum(axis=1)
    projected = share @ inverse
    beside = np.diag(inverse) - 2 * projected + (projected * share).sum(axis=1, keepdims=True)
    return squares, np.where(known, 1 - share - weights[:, None] * beside, 0.0).sum(axis=1)


def _seeds(values: Floats, known: Flags, variance: Floats) -> _Seeds:
    """Spread of the seeds' effects b, rows weighted by their variances: b' C b / tr C with C their information."""
    if not len(values):
        return _Seeds(0.0, 0.0, np.inf)
    unit = float(variance.min())
    information, score = _of_seeds(values, known, unit / variance if unit > 0 else np.ones(len(values)))
    size = float(np.trace(information))
    mean_square = float(score @ np.linalg.pinv(information, hermitian=True) @ score) / size
    noise = unit * int(np.linalg.matrix_rank(information, hermitian=True)) / size
    return _Seeds(mean_square, noise, size**2 / float((information**2).sum()))


def _course(residuals: _Residuals, seeds: _Seeds) -> tuple[Floats, Floats]:
    """Variance of one course about the mean of its row, τ² + v, and its degrees of freedom.

    The more likely a row spreads by itself, the fewer degrees of freedom it borrows from the others.
    """
    chances = residuals.chances(DOUBTED_SHARE)
    wild, own = 1 - chances[:, 0], residuals.of_rows(chances)
    beyond = own - seeds.noise
    single = np.maximum(seeds.mean_square + beyond, own)
    alone = np.where(residuals.freedoms > _NOTHING, residuals.freedoms, np.inf)
    whole = float(residuals.freedoms.sum())
    borrowed = (1 - wild) / whole + wild / alone if whole > _NOTHING else np.zeros(len(own))
    spread = seeds.mean_square**2 / seeds.freedom + beyond**2 * borrowed
    return single, np.where(spread > 0, single**2 / np.where(spread > 0, spread, 1.0), np.inf)


def _halves(single: Floats, freedom: Floats, count: NDArray[np.int64], cases: Floats) -> Floats:
    """Half widths of intervals of means of ``count`` courses: by Student's t, of cases by the normal distribution."""
    found = []
    for course, known, n, drawn in zip(single, freedom, count, np.diag(cases), strict=True):
        total = course / n + drawn
        share = course / n / total if total > 0 else 0.0
        found.append(student_quantile(known / share**2 if share > 0 else np.inf) * np.sqrt(total))
    return np.array(found)
