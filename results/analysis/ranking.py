"""Standings of the rows of one track: their intervals, their ranks, and which of them can be told apart.

The rule is described for readers in docs/ranking.md, its statistics are in `separation`. A row is an editor with its
configuration; runs of it that differ by their seed alone are its courses, and the row stands at their mean. A rank
needs `LEAST_COURSES` of them, each in an order of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from palimpsest.harness.runs.reading import ENDED
from palimpsest.results.analysis.separation import Separation, separate
from palimpsest.results.records import LEAST_COURSES, BoardRow, Interval, Pair, Standing

Floats = NDArray[np.float64]
Draws = Mapping[str, Floats]
"""Run id → effective edits in the resamples of its cases; the same cases are drawn for every run of a track."""


class CourseResult(NamedTuple):
    """One course of a row that ended by itself and was measured."""

    row_id: str
    run_id: str
    seed: int
    effective_edits: Interval
    planned: int
    """Edits of the track."""


@dataclass(frozen=True, slots=True)
class Standings:
    """Every row of a track that has a course, and every pair of those that have a rank."""

    rows: Mapping[str, Standing]
    """Row id → place, best first."""
    pairs: tuple[Pair, ...]


def standings(
    courses: Iterable[CourseResult], draws: Draws | None = None, *, same_cases: bool = False, one_order: bool = False
) -> Standings:
    """Standings of the rows that some courses of one track belong to.

    Args:
        courses: All courses of the track.
        draws: Of their runs; what is missing is taken from the intervals of single courses.
        same_cases: Whether all seeds are asked about the same cases.
        one_order: Whether all of them edit these in one order. Then no row has a rank: other orders would have given
            other numbers, and nothing shows how far away.
    """
    groups: dict[str, list[CourseResult]] = {}
    for course in sorted(courses, key=lambda c: (c.seed, c.run_id)):
        groups.setdefault(course.row_id, []).append(course)
    found = {row: _alone(group, draws or {}) for row, group in sorted(groups.items())}
    ranked = [] if one_order else [row for row, standing in found.items() if standing.courses >= LEAST_COURSES]
    ranked.sort(key=lambda row: -_value(found[row]))
    if not ranked:
        return Standings(_best_first(found), ())
    table = _table([groups[row] for row in ranked])
    cases = _case_covariance([groups[row] for row in ranked], draws or {}) if same_cases else None
    separation = separate(table, cases)
    better = separation.better
    for place, row in enumerate(ranked):
        found[row] = Standing(
            courses=found[row].courses,
            effective_edits=_cut(_value(found[row]), float(separation.half[place]), groups[row][0].planned),
            rank_low=1 + int(better[:, place].sum()),
            rank_high=len(ranked) - int(better[place].sum()),
            wide=bool(separation.wild[place] > 0.5),
        )
    return Standings(_best_first(found), tuple(_pairs(ranked, ~np.isnan(table), separation)))


def has_ended(row: BoardRow) -> bool:
    """True if a run counts as a course of its row: it ended by itself, and something was measured."""
    return row.status in ENDED and row.effective_edits.value is not None


def in_order(rows: Iterable[BoardRow]) -> list[BoardRow]:
    """Runs of one track by the effective edits of their rows, best first; those that did not end are last."""
    return sorted(rows, key=_order)


def _order(row: BoardRow) -> tuple[object, ...]:
    own = (-row.edits_done, row.editor, row.seed, row.run_id)
    if row.standing is None:
        return (1, 0.0, "", "", *own)
    return (0, -_value(row.standing), row.editor, row.row_id, *own)


def _value(standing: Standing) -> float:
    return standing.effective_edits.value or 0.0


def _best_first(found: Mapping[str, Standing]) -> dict[str, Standing]:
    return dict(sorted(found.items(), key=lambda item: (-_value(item[1]), item[0])))


def _edits(course: CourseResult) -> float:
    return course.effective_edits.value or 0.0


def _alone(group: Sequence[CourseResult], draws: Draws) -> Standing:
    """A row by itself: its mean, and the interval of what other cases would give in the very same courses."""
    mean = math.fsum(map(_edits, group)) / len(group)
    known = [draws[course.run_id] for course in group if course.run_id in draws]
    if len(group) == 1:
        interval = group[0].effective_edits
    elif len(known) == len(group) and len({len(one) for one in known}) == 1:
        low, high = np.quantile(np.mean(known, axis=0), [0.025, 0.975]).tolist()
        interval = Interval(mean, min(low, mean), max(high, mean))
    else:
        halves = [_half(course.effective_edits) for course in group]
        half = math.fsum(halves) / len(halves)
        interval = _cut(mean, half, group[0].planned) if half else Interval(mean)
    return Standing(len(group), interval)


def _half(one: Interval) -> float:
    return (one.high - one.low) / 2 if one.low is not None and one.high is not None else 0.0


def _cut(mean: float, half: float, planned: int) -> Interval:
    return Interval(mean, max(0.0, mean - half), min(float(planned), mean + half))


def _table(groups: Sequence[Sequence[CourseResult]]) -> Floats:
    """Rows × seeds, NaN where a row has no course of a seed."""
    seeds = sorted({course.seed for group in groups for course in group})
    table = np.full((len(groups), len(seeds)), np.nan)
    for place, group in enumerate(groups):
        for course in group:
            table[place, seeds.index(course.seed)] = _edits(course)
    return table


def _case_covariance(groups: Sequence[Sequence[CourseResult]], draws: Draws) -> Floats:
    """Covariance of the rows' means from drawing other cases; of courses without draws, as if independent."""
    size = min((len(draws[course.run_id]) for group in groups for course in group if course.run_id in draws), default=0)
    means = np.zeros((len(groups), max(size, 2)))
    beyond = np.zeros(len(groups))
    for place, group in enumerate(groups):
        for course in group:
            if course.run_id in draws:
                means[place] += draws[course.run_id][:size] / len(group)
            else:
                beyond[place] += _half(course.effective_edits) / 1.96 / len(group)
    covariance: Floats = np.atleast_2d(np.cov(means)) + np.diag(beyond**2)
    return covariance


def _pairs(ranked: Sequence[str], known: NDArray[np.bool_], separation: Separation) -> Iterator[Pair]:
    """All pairs of rows, given best first, with the seeds that each has."""
    least = separation.least
    for i, j in combinations(range(len(ranked)), 2):
        seeds = int((known[i] & known[j]).sum())
        compared = (float(separation.difference[i, j]), float(least[i, j])) if seeds >= LEAST_COURSES else ()
        yield Pair(ranked[i], ranked[j], seeds, *compared)
