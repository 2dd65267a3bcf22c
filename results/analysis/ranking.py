"""Ranks within one track, as intervals: rows whose difference is not significant are not told apart.

The rule is described for readers in docs/ranking.md. A row is an editor with its configuration; runs of it that differ
by their seed alone are one row, which stands at their mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from palimpsest.results.analysis.seeds import by_row, student_two_sided
from palimpsest.results.records import BoardRow

RANKED = ("complete", "collapsed")
"""Statuses of runs that are ranked."""
LEVEL = 0.05
"""Share of tracks in which any two rows may be told apart wrongly (Holm)."""
Floats = NDArray[np.float64]
Draws = Mapping[str, Floats]
"""Run id → effective edits in the resamples; the same cases are drawn for every run of a track."""


@dataclass(frozen=True, slots=True)
class _Quantity:
    """Quantity that rows are compared by: one value per row, with what its uncertainty comes from."""

    value: Floats
    """Shape (rows,)."""
    case_variance: Floats
    """Variance of the difference of two rows from drawing cases, (rows, rows); the diagonal means nothing."""
    seed_variance: Floats
    """Variance of the mean over seeds, (rows,); 0 for a single seed."""
    seeds: NDArray[np.int64]


def ranked_rows(rows: Sequence[BoardRow], draws: Draws | None = None) -> list[BoardRow]:
    """``rows`` of one track with the rank intervals of the editors they belong to, best first, unranked ones last.

    Args:
        rows: all runs of one track.
        draws: of the runs; without them rows are compared by their intervals, as if these were independent.
    """
    groups = list(by_row([row for row in rows if is_ranked(row)]).values())
    better = _significance(_quantity(groups, draws or {}))
    place: dict[str, tuple[int, int, tuple[object, ...]]] = {}
    for index, group in enumerate(groups):
        low, high = 1 + int(better[:, index].sum()), len(groups) - int(better[index].sum())
        for row in group:
            place[row.run_id] = (low, high, _order(group))
    result = []
    for row in rows:
        low_high = place.get(row.run_id, (None, None))[:2]
        result.append(replace(row, rank_low=low_high[0], rank_high=low_high[1]))
    last: tuple[object, ...] = (1, 0.0, "")
    return sorted(result, key=lambda r: (*(place[r.run_id][2] if r.run_id in place else last), *_own_order(r)))


def resolution(rows: Sequence[BoardRow], draws: Draws | None = None) -> float | None:
    """Smallest difference of effective edits that two rows of this track can be told apart by.

    It is 1.96 times the median standard error of the difference of two rows, paired by case; of a single row, that
    of two such rows. None without finished runs.
    """
    finished = [r for r in rows if r.status == "complete" and r.effective_edits.low is not None]
    groups = list(by_row(finished).values())
    if not groups:
        return None
    found = _quantity(groups, draws or {})
    variance = found.case_variance + np.add.outer(found.seed_variance, found.seed_variance)
    if len(groups) > 1:
        variance = variance[np.triu_indices(len(groups), 1)]
    return float(1.96 * np.sqrt(np.median(variance)))


def is_ranked(row: BoardRow) -> bool:
    """True if a run takes part in the ranking: it ended by itself, and something was measured."""
    return row.status in RANKED and row.effective_edits.value is not None


def _value(row: BoardRow) -> float:
    return row.effective_edits.value or 0.0


def _order(group: Sequence[BoardRow]) -> tuple[object, ...]:
    mean = sum(map(_value, group)) / len(group)
    return (0, -mean, group[0].editor, min(row.run_id for row in group))


def _own_order(row: BoardRow) -> tuple[object, ...]:
    return (-row.edits_done, row.editor, row.seed, row.run_id)


def _significance(quantity: _Quantity) -> NDArray[np.bool_]:
    """[a, b]: whether row a is better than row b, by Holm's procedure over all pairs of the track."""
    count = len(quantity.value)
    better = np.zeros((count, count), dtype=bool)
    if count < 2:
        return better
    difference, p = _tests(quantity)
    first, second = np.triu_indices(count, 1)
    for pair in _holm(p[first, second]):
        a, b = int(first[pair]), int(second[pair])
        better[(a, b) if difference[a, b] > 0 else (b, a)] = True
    return better


def _holm(p: Floats) -> list[int]:
    """Indices of the tests that stay significant: the smallest p against level / m, the next / (m − 1)."""
    order = np.argsort(p, kind="stable")
    limits = LEVEL / np.arange(len(p), 0, -1)
    failed = np.flatnonzero(p[order] > limits)
    return [int(i) for i in order[: failed[0] if failed.size else len(p)]]


def _tests(quantity: _Quantity) -> tuple[Floats, Floats]:
    """Differences of all pairs and their two-sided p, by t with Satterthwaite's degrees of freedom."""
    difference = np.subtract.outer(quantity.value, quantity.value)
    seeds = np.add.outer(quantity.seed_variance, quantity.seed_variance)
    variance = quantity.case_variance + seeds
    own = quantity.seed_variance**2 / np.maximum(quantity.seeds - 1, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.where(seeds > 0, variance**2 / np.add.outer(own, own), np.inf)
        t = np.where(difference == 0, 0.0, np.abs(difference) / np.sqrt(variance))
    return difference, student_two_sided(t, freedom)


def _quantity(groups: Sequence[Sequence[BoardRow]], draws: Draws) -> _Quantity:
    values = [[_value(row) for row in group] for group in groups]
    found = [[draws.get(row.run_id) for row in group] for group in groups]
    lengths = {None if one is None else len(one) for group in found for one in group}
    if len(lengths) == 1 and None not in lengths:
        means = np.stack([np.mean([one for one in group if one is not None], axis=0) for group in found])
        covariance = np.atleast_2d(np.cov(means))
        own = np.diag(covariance)
        case_variance = np.maximum(np.add.outer(own, own) - 2 * covariance, 0.0)
        if len(groups) == 1:
            case_variance = 2 * covariance
    else:
        single = np.array([np.mean([_width(row) for row in group]) ** 2 / 3.92**2 for group in groups])
        case_variance = np.add.outer(single, single)
    seeds = [float(np.var(v, ddof=1) / len(v)) if len(v) > 1 else 0.0 for v in values]
    return _Quantity(
        np.array([np.mean(v) for v in values]),
        case_variance,
        np.array(seeds),
        np.array([len(v) for v in values], dtype=np.int64),
    )


def _width(row: BoardRow) -> float:
    low, high = row.effective_edits.low, row.effective_edits.high
    return max(0.0, high - low) if low is not None and high is not None else 0.0
