"""Cases that depend on each other, and what that does to the spread of a mean over them.

Edits of one subject succeed and fail together; so do edits to one new object, and prompts that have one true object.
Two cases depend on each other if they share any of the three. With e the deviations of n cases from their mean and c
the share of all pairs that depend, the variance of the mean is taken to be

    V = Σ e_i e_j  ÷  n² (1 − c),        over all dependent pairs, i = j among them

the multiway clustering of Cameron, Gelbach and Miller (2011): sums over the groups of each kind, less those that two
kinds count twice, and so on. The factor 1 − c makes up for the mean, which comes from the same cases; where all cases
are independent, V is the usual variance. V is never taken to be less than that: cases that share something are not held
to differ more than others.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
SHARED = ("subject", "target_true", "target_new")
"""Fields of requests: cases that have one of them in common depend on each other."""
LEAST_GROUPS = 2.0
"""Groups of equal size that a kind of groups must be worth more than: two answers are no sample of objects."""
_KEEP = 2_000_000
"""Numbers in a table of random numbers that is worth keeping: at most 8 MB."""


@dataclass(frozen=True, slots=True)
class _Groups:
    """One way to put the cases into groups."""

    codes: Codes
    """Group of each case, from 0, each at least once."""
    order: Codes
    """The cases by group."""
    starts: Codes
    """Place of each group's first case in that order."""

    @classmethod
    def of(cls, codes: Codes) -> _Groups:
        order = np.argsort(codes, kind="stable")
        ordered = codes[order]
        first = np.ones(len(codes), dtype=np.bool_)
        first[1:] = ordered[1:] != ordered[:-1]
        numbered = np.empty(len(codes), dtype=np.int64)
        numbered[order] = np.cumsum(first) - 1
        return cls(numbered, order, np.flatnonzero(first))

    @property
    def single(self) -> bool:
        """True if every case is a group of its own."""
        return len(self.starts) == len(self.codes)

    def sums(self, values: Floats) -> Floats:
        """Sums over each group; (cases, columns) → (groups, columns)."""
        return values if self.single else np.add.reduceat(values[self.order], self.starts, axis=0)

    def squares(self, values: Floats) -> Floats:
        """Sum over the groups of the squared sum of each; (columns,)."""
        sums = self.sums(values)
        found: Floats = np.einsum("ij,ij->j", sums, sums)
        return found

    def worth(self) -> float:
        """Number of groups of equal size that would tell as much."""
        sizes = np.diff(self.starts, append=len(self.codes)).astype(np.float64)
        return float(len(self.codes) ** 2 / (sizes**2).sum()) if len(sizes) else 0.0


class Clusters:
    """The cases of a run, and their groups of each kind."""

    def __init__(self, case_ids: Codes, kinds: Sequence[Codes] = ()) -> None:
        """Take the cases and, for each kind, the group of each.

        Args:
            case_ids: Ascending, distinct.
            kinds: Any numbers; the same one for cases of one group. A kind worth no more than `LEAST_GROUPS`
                groups is left out; without any, the cases are independent.
        """
        self.case_ids = case_ids
        groups = [_Groups.of(codes) for codes in kinds]
        self._kinds = [one for one in groups if one.worth() > LEAST_GROUPS] or [_Groups.of(np.arange(len(case_ids)))]
        terms = [
            (-1 if count % 2 == 0 else 1, _joint(some))
            for count in range(1, len(self._kinds) + 1)
            for some in combinations(self._kinds, count)
        ]
        self._terms = [(sign, groups) for sign, groups in terms if not groups.single]
        self._alone = sum(sign for sign, groups in terms if groups.single)

    @classmethod
    def of(cls, case_ids: Sequence[int], *labels: Sequence[Hashable]) -> Clusters:
        """Cases in any order, with a label of each kind; cases with an empty label share nothing."""
        ids = np.asarray(case_ids, dtype=np.int64)
        order = np.argsort(ids, kind="stable")
        return cls(ids[order], [_coded([kind[place] for place in order.tolist()]) for kind in labels])

    @property
    def independent(self) -> bool:
        """True if no two cases depend on each other."""
        return all(groups.single for groups in self._kinds)

    def rows(self, case_ids: Codes) -> Codes:
        """Places of some of the cases among all of them."""
        return np.searchsorted(self.case_ids, case_ids).astype(np.int64)

    def among(self, case_ids: Codes) -> Clusters:
        """The same groups for some of the cases alone."""
        rows = self.rows(case_ids)
        return Clusters(case_ids, [] if self.independent else [groups.codes[rows] for groups in self._kinds])

    def dependent(self, values: Floats) -> Floats:
        """Σ x_i x_j over all pairs that depend, each with itself among them; (cases, columns) → (columns,)."""
        total: Floats = self._alone * np.einsum("ij,ij->j", values, values)
        for sign, groups in self._terms:
            total += sign * groups.squares(values)
        return total

    def largest(self, present: Floats) -> Floats:
        """Share of pairs that are in one group, of the kind where it is largest; (cases, columns) → (columns,)."""
        shares = [groups.squares(present) for groups in self._kinds]
        found: Floats = np.max(shares, axis=0) / np.maximum(present.sum(axis=0), 1.0) ** 2
        return found

    def noise(self, values: Floats, resamples: int, seed: int) -> tuple[Floats, Floats]:
        """Random combinations of the cases' values, and their variance.

        Every group of every kind has one standard normal number per resample, the same for whatever values: what two
        columns have in common, be they of two metrics, two checkpoints or two runs, their combinations have in common.

        Args:
            values: (cases, columns).
            resamples: Number of combinations.
            seed: Of the random numbers.

        Returns:
            (resamples, columns) and (columns,).
        """
        total = np.zeros((resamples, values.shape[1]))
        variance = np.zeros(values.shape[1])
        shared = [groups for groups in self._kinds if not groups.single] or self._kinds[:1]
        for place, groups in enumerate(shared):
            sums = groups.sums(values)
            drawn = normals(len(groups.starts), resamples, (seed, place))
            total += drawn @ sums.astype(np.float32)
            variance += np.einsum("ij,ij->j", sums, sums)
        return total, variance


def _joint(kinds: Sequence[_Groups]) -> _Groups:
    """The groups of cases that are together in every one of some kinds."""
    found = kinds[0]
    for other in kinds[1:]:
        if other.single or found.single:
            return other if other.single else found
        found = _Groups.of(found.codes * len(other.starts) + other.codes)
    return found


def _coded(labels: Sequence[Hashable]) -> Codes:
    """A number for each label, the same for equal ones that are not empty."""
    rank: dict[Hashable, int] = {}
    own = [("", place) if label == "" else label for place, label in enumerate(labels)]
    return np.array([rank.setdefault(label, len(rank)) for label in own], dtype=np.int64)


def normals(units: int, resamples: int, seed: tuple[int, ...]) -> NDArray[np.float32]:
    """Standard normal numbers, (resamples, units), not to be written to: all runs of a track ask for the same ones."""
    return _kept(units, resamples, seed) if units * resamples <= _KEEP else _drawn(units, resamples, seed)


@lru_cache(maxsize=16)
def _kept(units: int, resamples: int, seed: tuple[int, ...]) -> NDArray[np.float32]:
    drawn = _drawn(units, resamples, seed)
    drawn.flags.writeable = False
    return drawn


def _drawn(units: int, resamples: int, seed: tuple[int, ...]) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((resamples, units), dtype=np.float32)
