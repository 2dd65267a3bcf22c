"""Intervals of the metrics that are means over cases, and of the harmonic means of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from palimpsest.harness.metrics.probes import SCORES, CaseTable, aggregate, harmonic_mean, metric
from palimpsest.results.analysis.intervals.clusters import Clusters
from palimpsest.results.analysis.intervals.means import LEVEL, draws, means
from palimpsest.results.records import Interval

Floats = NDArray[np.float64]
RESAMPLES = 1000


def metric_intervals(
    table: CaseTable, clusters: Clusters | None = None, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Interval]:
    """Every metric of ``table`` and its harmonic scores, with intervals; ``nonfinite_probes`` has none.

    Args:
        table: Per-case values, from `palimpsest.harness.metrics.probes.case_table`.
        clusters: Of all cases of the run; None: they are independent.
        resamples: Random draws for the scores; 0: values alone, without any interval.
        seed: Of the draws.
    """
    values, n = aggregate(table), len(table.case_ids)
    names = list(table.values)
    sizes = {name: int((~np.isnan(table.values[name])).sum()) for name in names}
    sizes |= {score: min(sizes[part] for part in SCORES[score]) for score in table.score_names}
    sizes["nonfinite_probes"] = n
    ends: dict[str, tuple[float, float]] = {}
    if resamples and n > 1:
        clusters = clusters or Clusters(table.case_ids)
        units = np.array([100.0 if metric(name).unit == "%" else 1.0 for name in names])
        stacked = np.stack([table.values[name] for name in names], axis=1) / units
        found = means(stacked, units == 100, clusters.among(table.case_ids))
        low, high = (units * end for end in found.interval())
        ends = {name: (float(low[i]), float(high[i])) for i, name in enumerate(names)}
        for score in table.score_names:
            parts = found.columns([names.index(part) for part in SCORES[score]])
            drawn = draws(parts, clusters.rows(table.case_ids), clusters, resamples, seed)
            ends[score] = percentiles(100 * harmonic_mean(drawn))
    return {name: _interval(values[name], ends.get(name), sizes[name]) for name in values}


def drawn_parts(
    checkpoints: Mapping[int, CaseTable],
    parts: Sequence[str],
    clusters: Clusters,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[int, Floats]:
    """Random draws of some metrics at all checkpoints, as shares; cases are the same ones at all of them.

    Args:
        checkpoints: Edits → per-case values.
        parts: Names of metrics in percent; one that a table lacks is NaN.
        clusters: Of all cases of the run.
        resamples: Number of draws.
        seed: Of the draws.

    Returns:
        Edits → shape (1 + resamples, parts): what was measured, then the draws.
    """
    found: dict[int, Floats] = {}
    for edits, table in checkpoints.items():
        absent = np.full(len(table.case_ids), np.nan)
        values = np.stack([table.values.get(part, absent) for part in parts], axis=1) / 100.0
        known = means(values, [True] * len(parts), clusters.among(table.case_ids))
        found[edits] = draws(known, clusters.rows(table.case_ids), clusters, resamples, seed)
    return found


def percentiles(drawn: Floats) -> tuple[float, float]:
    """Both ends of the 95 % interval of what is made of draws; the first one was measured and lies inside."""
    known = drawn[~np.isnan(drawn)]
    if len(known) < 2:
        return np.nan, np.nan
    low, high = np.quantile(known[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return min(float(low), float(known[0])), max(float(high), float(known[0]))


def interval(drawn: Floats, n: int, uncut: Floats | None = None, most: float = np.inf) -> Interval:
    """The measured value with the interval of its draws; without ends where ``n`` < 2 or there are no draws.

    Args:
        drawn: What was measured, then the draws.
        n: Cases, or items, behind it.
        uncut: The same without a cut that is part of its definition. Near a cut, means are measured too low, and their
            draws lie lower by as much again: the upper end is that of the uncut draws.
        most: Of the upper end.
    """
    low, high = percentiles(drawn)
    if uncut is not None:
        high = max(high, min(percentiles(uncut)[1], most))
    return _interval(float(drawn[0]), (low, high), n)


def _interval(value: float, ends: tuple[float, float] | None, n: int) -> Interval:
    if np.isnan(value):
        return Interval(None, n=n)
    if ends is None or n < 2 or np.isnan(ends).any():
        return Interval(value, n=n)
    return Interval(value, *ends, n)
