"""Certainty of means over cases: their spread, Wilson's interval of a share, and random draws that agree with both.

The interval of a share p holds the shares q from which p is no more than t standard errors away, where the error is
q's own: |p − q| ≤ t √(q (1 − q) / n). Unlike p ± t s it never leaves 0 … 1, and it has a width at 0 and at 1. For n
stands the number of independent cases, right or wrong, that would tell as much: fewer than there are, as far as cases
depend on each other (`palimpsest.results.analysis.intervals.clusters`), and more, as far as a case is a mean of several
prompts. t is Student's, with Satterthwaite's degrees of freedom: cases less one, for what cases vary by themselves, and
groups less one, for what dependence adds.

What is made of several means, as harmonic means and effective edits are, is computed from random draws of all of them.
A draw of a mean is where its interval would end at a random z in place of t. The z of different means are correlated as
their values are over the cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from palimpsest.results.analysis.intervals.clusters import Clusters, normals

Floats = NDArray[np.float64]
LEVEL = 0.95
NORMAL = 1.959963984540054
_PSEUDO = 7
"""Part of the seed of the numbers that stand for a case of each kind that nobody saw."""


@dataclass(frozen=True, slots=True)
class Means:
    """Means of some columns over cases, with what their uncertainty comes from; every array is (columns,)."""

    value: Floats
    """NaN: no case has one."""
    size: NDArray[np.int64]
    """Cases that have a value."""
    share: NDArray[np.bool_]
    """Columns of values from 0 to 1; the others have no bounds."""
    effective: Floats
    """Behind shares: independent cases of 0 or 1 that would tell as much."""
    error: Floats
    """Standard error of other columns."""
    quantile: Floats
    """Standard errors, to each side, of the 95 % interval."""
    deviations: Floats
    """(cases, columns), 0 where a case has no value."""

    def ends(self, z: ArrayLike) -> Floats:
        """The means for which what was measured lies z standard errors too low; (…, columns) like ``z``."""
        z = np.asarray(z, dtype=np.float64)
        return np.where(self.share, wilson(self.value, self.effective, z), self.value + z * self.error)

    def columns(self, places: Sequence[int]) -> Means:
        """Some of the columns, in this order."""
        return Means(*(getattr(self, name)[..., places] for name in self.__slots__))

    def interval(self) -> tuple[Floats, Floats]:
        """Both ends of the 95 % interval; NaN from fewer than two cases."""
        known = np.where(self.size > 1, 1.0, np.nan)
        return known * self.ends(-self.quantile), known * self.ends(self.quantile)


def means(values: Floats, share: Sequence[bool], clusters: Clusters) -> Means:
    """Means over cases.

    Args:
        values: (cases, columns), NaN where a case has none; those of shares from 0 to 1.
        share: Which columns are shares.
        clusters: Of just these cases.
    """
    present = ~np.isnan(values)
    size = present.sum(axis=0)
    count = np.maximum(size, 1.0)
    filled = np.where(present, values, 0.0)
    value = np.where(size > 0, filled.sum(axis=0) / count, np.nan)
    deviations = np.where(present, values - value, 0.0)
    own = np.einsum("ij,ij->j", deviations, deviations)
    factor, freedom = _dependence(deviations, own, present, clusters)
    error = np.sqrt(factor * own / (count * np.maximum(count - 1, 1.0)))
    middle = (filled.sum(axis=0) + 1) / (count + 2)
    binary = middle * (1 - middle)
    within = (own + count * (value - middle) ** 2 + (1 - middle) ** 2 + middle**2) / (count + 2)
    effective = count / factor * np.where(binary > 0, binary / within, 1.0)
    quantile = special.stdtrit(np.maximum(freedom, 1.0), (1 + LEVEL) / 2)
    return Means(value, size, np.asarray(share), effective, error, quantile, deviations)


def _dependence(
    deviations: Floats, own: Floats, present: NDArray[np.bool_], clusters: Clusters
) -> tuple[Floats, Floats]:
    """Factor by which dependence raises the variance of each mean, and the degrees of freedom of that variance."""
    size = present.sum(axis=0).astype(np.float64)
    if clusters.independent:
        return np.ones_like(own), size - 1
    columns = present if not present.all() else present[:, :1]
    counted = columns.astype(np.float64)
    pairs = clusters.dependent(counted) / np.maximum(counted.sum(axis=0), 1.0) ** 2
    groups = 1 / np.maximum(clusters.largest(counted), 1e-9)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = clusters.dependent(deviations) / own * (1 - 1 / size) / (1 - pairs)
    factor = np.where((own > 0) & (pairs < 1), np.maximum(ratio, 1.0), 1.0)
    own_part, shared_part = 1 / np.maximum(size - 1, 1.0), (factor - 1) ** 2 / np.maximum(groups - 1, 1.0)
    return factor, factor**2 / (own_part + shared_part)


def draws(found: Means, rows: NDArray[np.int64], clusters: Clusters, resamples: int, seed: int) -> Floats:
    """Random draws of means, (1 + resamples, columns): first what was measured.

    The same seed gives the same numbers to the same cases: draws for other checkpoints and other runs are paired.

    Args:
        found: The means.
        rows: Places of their cases among those of ``clusters``.
        clusters: Of all cases of the run.
        resamples: Number of draws.
        seed: Of the random numbers.
    """
    whole = np.zeros((len(clusters.case_ids), len(found.value)))
    whole[rows] = found.deviations
    noise, variance = clusters.noise(whole, resamples, seed)
    unseen = np.where(found.share, found.value**2 + (1 - found.value) ** 2, 0.0)
    noise += np.sqrt(unseen) * normals(len(unseen), resamples, (seed, _PSEUDO))
    scale = np.sqrt(variance + unseen)
    z = np.where(scale > 0, noise / np.where(scale > 0, scale, 1.0), 0.0) * (found.quantile / NORMAL)
    return np.concatenate([found.value[None], found.ends(z)])


def wilson(share: ArrayLike, size: ArrayLike, z: ArrayLike) -> Floats:
    """The share q that lies z of its own standard errors above a measured one, elementwise (Wilson 1927).

    Args:
        share: What was measured, 0..1.
        size: Independent cases behind it.
        z: May be negative: then q is below.
    """
    share, size, z = (np.asarray(one, dtype=np.float64) for one in (share, size, z))
    spread = np.sqrt(np.maximum(share * (1 - share), 0.0) / size + (z / (2 * size)) ** 2)
    q = (share + z**2 / (2 * size) + z * spread) / (1 + z**2 / size)
    return np.clip(q, 0.0, 1.0)
