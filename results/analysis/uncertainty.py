"""Confidence intervals: a seeded percentile bootstrap over cases, vectorised over resamples and metrics.

All probes of a case are resampled together. Where cases share a subject, give the subjects as ``clusters``: they are
then resampled as a whole, since edits of one subject succeed and fail together. Every function is deterministic in its
seed. An interval from fewer than two cases is not given. A share that is 0 or 100 % in every case gets an interval of
width zero: the percentile bootstrap sees no spread there, although a finite sample leaves some.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from palimpsest.harness.metrics.probes import SCORES, CaseTable, aggregate, harmonic_mean, kept_share
from palimpsest.results.analysis.endurance import ENDURANCE_SHARE, Endurance, first_crossing
from palimpsest.results.records import Interval

Floats = NDArray[np.float64]
RESAMPLES = 1000
LEVEL = 0.95
_KEEP = 2_000_000  # draws worth remembering: at most 8 MB each
_CHUNK = 4_000_000  # draws made at once: bounds the memory of large tables to some tens of MB


@dataclass(frozen=True, slots=True)
class AbilityItems:
    """One ability task at one checkpoint, item by item, beside the same items on the pristine model."""

    name: str
    chance: float
    """Expected share of right answers without any ability, 0..1."""
    correct: NDArray[np.bool_]
    pristine: NDArray[np.bool_]
    """Same items in the same order."""


@dataclass(frozen=True, slots=True)
class EnduranceInterval:
    """Endurance with its interval; an end that is not reached in the resamples is infinite (``> N``)."""

    value: Endurance
    low: float | None
    high: float | None
    draws: Floats | None = field(default=None, compare=False)
    """The endurance of each resample, at most the last checkpoint; None from fewer than two cases."""
    final: Floats | None = field(default=None, compare=False)
    """Value that was followed (the score, or the kept share), at the last checkpoint in each resample."""


def draw_counts(units: int, resamples: int, seed: int) -> NDArray[np.float32]:
    """Number of times each unit is drawn in each resample of ``units`` units with replacement; (resamples, units).

    Not to be written to: small ones are kept, since windows, checkpoints and shares ask for the same draws again.
    """
    return _kept_draws(units, resamples, seed) if units * resamples <= _KEEP else _draw(units, resamples, seed)


@lru_cache(maxsize=16)
def _kept_draws(units: int, resamples: int, seed: int) -> NDArray[np.float32]:
    counts = _draw(units, resamples, seed)
    counts.flags.writeable = False
    return counts


def _draw(units: int, resamples: int, seed: int) -> NDArray[np.float32]:
    generator = np.random.default_rng(seed)
    counts = np.empty((resamples, units), dtype=np.float32)
    step = max(1, _CHUNK // max(units, 1))
    for start in range(0, resamples, step):
        stop = min(start + step, resamples)
        drawn = generator.integers(0, units, size=(stop - start, units), dtype=np.int32)
        drawn += np.arange(0, (stop - start) * units, units, dtype=np.int32)[:, None]
        counts[start:stop] = np.bincount(drawn.ravel(), minlength=(stop - start) * units).reshape(-1, units)
    return counts


def _case_counts(cases: int, resamples: int, seed: int, clusters: Sequence[Hashable] | None) -> NDArray[np.float32]:
    """Counts per case; cases of one cluster always share theirs."""
    if clusters is None:
        return draw_counts(cases, resamples, seed)
    if len(clusters) != cases:
        raise ValueError(f"{len(clusters)} clusters for {cases} cases")
    rank: dict[Hashable, int] = {}
    index = np.array([rank.setdefault(name, len(rank)) for name in clusters], dtype=np.int64)
    return draw_counts(len(rank), resamples, seed)[:, index]


def _resampled_means(counts: NDArray[np.float32], values: Floats) -> Floats:
    """Means over cases in each resample, (resamples, metrics), of ``values`` (cases, metrics) with NaN for absent."""
    present = ~np.isnan(values)
    weights = counts.astype(np.float64)
    total = weights @ np.where(present, values, 0.0)
    size = np.tile(weights.sum(axis=1, keepdims=True), values.shape[1])
    gaps = ~present.all(axis=0)
    if gaps.any():
        size[:, gaps] = weights @ present[:, gaps].astype(np.float64)
    return np.where(size > 0, total / np.maximum(size, 1.0), np.nan)


def interval(value: float, resampled: Floats, n: int, level: float = LEVEL) -> Interval:
    """The percentile interval of ``resampled`` about ``value``; without ends when ``n`` < 2 or nothing was measured."""
    if np.isnan(value):
        return Interval(None, n=n)
    finite = resampled[~np.isnan(resampled)]
    if n < 2 or not finite.size:
        return Interval(value, n=n)
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), n)


def bootstrap_metrics(
    table: CaseTable,
    *,
    clusters: Sequence[Hashable] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Interval]:
    """Every metric of ``table`` and its harmonic scores, with intervals; ``nonfinite_probes`` has none.

    Args:
        table: per-case values, from `palimpsest.harness.metrics.probes.case_table`.
        clusters: one label (the subject) per case of ``table.case_ids``; None resamples cases singly.
        resamples: number of resamples.
        seed: of the generator; the same seed gives the same ends.
        level: coverage of the interval.
    """
    values, n = aggregate(table), len(table.case_ids)
    nonfinite = Interval(values.pop("nonfinite_probes"), n=n)
    if not n:
        return {name: Interval(None) for name in values} | {"nonfinite_probes": nonfinite}
    names = list(table.values)
    stacked = np.stack([table.values[name] for name in names], axis=1)
    means = _resampled_means(_case_counts(n, resamples, seed, clusters), stacked)
    sizes = dict(zip(names, (~np.isnan(stacked)).sum(axis=0).tolist(), strict=True))
    columns = {name: means[:, i] for i, name in enumerate(names)}
    for score in table.score_names:
        columns[score] = harmonic_mean(np.stack([columns[part] for part in SCORES[score]], axis=1))
        sizes[score] = min(sizes[part] for part in SCORES[score])
    result = {name: interval(values[name], columns[name], sizes[name], level) for name in columns}
    return result | {"nonfinite_probes": nonfinite}


def bootstrap_abilities(
    tasks: Sequence[AbilityItems], *, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> tuple[Interval, dict[str, Interval]]:
    """Kept share of abilities and the score of each task, both in percent, resampling the items of each task.

    The same items are drawn for the edited and the pristine model. ``n`` of the kept share counts all items.
    """
    chances = [task.chance for task in tasks]
    scores, kept = _ability_draws(tasks, resamples, seed)
    shares = kept_share([_mean(t.correct) for t in tasks], [_mean(t.pristine) for t in tasks], chances)
    taken = ~np.isnan(shares)
    single = {
        task.name: interval(100.0 * _mean(task.correct), 100.0 * scores[:, i], len(task.correct), level)
        for i, task in enumerate(tasks)
    }
    if not taken.any():
        return Interval(None), single
    items = sum(len(task.correct) for task, take in zip(tasks, taken, strict=True) if take)
    return interval(100.0 * float(shares[taken].mean()), 100.0 * kept, items, level), single


def _mean(correct: NDArray[np.bool_]) -> float:
    return float(np.mean(correct)) if len(correct) else float("nan")


def _ability_draws(tasks: Sequence[AbilityItems], resamples: int, seed: int) -> tuple[Floats, Floats]:
    """Resampled task scores (resamples, tasks) and mean kept shares (resamples,), as shares."""
    scores = np.full((resamples, len(tasks)), np.nan)
    pristine = np.full((resamples, len(tasks)), np.nan)
    for i, task in enumerate(tasks):
        if len(task.correct) != len(task.pristine):
            raise ValueError(f"{task.name}: {len(task.correct)} items, but {len(task.pristine)} on the pristine model")
        if len(task.correct):
            counts = draw_counts(len(task.correct), resamples, seed + i).astype(np.float64)
            both = counts @ np.stack([task.correct, task.pristine], axis=1).astype(np.float64) / len(task.correct)
            scores[:, i], pristine[:, i] = both[:, 0], both[:, 1]
    chance = np.array([task.chance for task in tasks])
    # A task takes part by its pristine score on all items, not by that of a resample that happens to be low.
    above = np.array([bool(len(t.pristine)) and _mean(t.pristine) > t.chance for t in tasks], dtype=bool)
    share = kept_share(scores, np.maximum(pristine, chance + 1e-9), chance)[:, above]
    return scores, share.mean(axis=1) if above.any() else np.full(resamples, np.nan)


def bootstrap_endurance(
    checkpoints: Mapping[int, CaseTable],
    score: str,
    *,
    collapsed_at: Sequence[int] = (),
    clusters: Mapping[int, Hashable] | None = None,
    share: float = ENDURANCE_SHARE,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> EnduranceInterval:
    """Endurance of a harmonic ``score`` with its interval, resampling cases jointly across checkpoints.

    Args:
        checkpoints: edits → per-case values of the window ``all``; only checkpoints with edits are used.
        score: name in `palimpsest.harness.metrics.probes.SCORES`.
        collapsed_at: planned checkpoints that the run did not reach because it collapsed: their score is 0.
        clusters: case id → label of its cluster; None resamples cases singly.
        share: 0.8 for endurance, 0.5 for the half-life.
        resamples: number of resamples.
        seed: of the generator.
        level: coverage of the interval.
    """
    edits = sorted(point for point in checkpoints if point > 0)
    if not edits:
        return EnduranceInterval(Endurance(), None, None)
    cases = np.unique(np.concatenate([checkpoints[point].case_ids for point in edits]))
    labels = None if clusters is None else [clusters[case] for case in cases.tolist()]
    counts = _case_counts(len(cases), resamples, seed, labels)
    curves = np.zeros((resamples + 1, len(edits) + len(collapsed_at)))
    for i, point in enumerate(edits):
        table = checkpoints[point]
        parts = np.stack([table.values[part] for part in SCORES[score]], axis=1)
        means = _resampled_means(counts[:, np.searchsorted(cases, table.case_ids)], parts)
        curves[0, i] = aggregate(table)[score]
        curves[1:, i] = harmonic_mean(means)
    return _endurance_interval([*edits, *sorted(collapsed_at)], curves, share, level, len(cases))


def bootstrap_endurance_abilities(
    checkpoints: Mapping[int, Sequence[AbilityItems]],
    *,
    collapsed_at: Sequence[int] = (),
    share: float = ENDURANCE_SHARE,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> EnduranceInterval:
    """Endurance of the kept share of abilities, starting at 1 with 0 edits; items are drawn alike at checkpoints."""
    edits = sorted(point for point in checkpoints if point > 0)
    if not edits:
        return EnduranceInterval(Endurance(), None, None)
    curves = np.zeros((resamples + 1, 1 + len(edits) + len(collapsed_at)))
    curves[:, 0] = 1.0
    items = 0
    for i, point in enumerate(edits, start=1):
        tasks = checkpoints[point]
        items = max(items, sum(len(task.correct) for task in tasks))
        shares = kept_share(
            [_mean(t.correct) for t in tasks], [_mean(t.pristine) for t in tasks], [t.chance for t in tasks]
        )
        if np.isnan(shares).all():
            return EnduranceInterval(Endurance(), None, None)
        curves[0, i] = float(np.nanmean(shares))
        curves[1:, i] = _ability_draws(tasks, resamples, seed)[1]
    return _endurance_interval([0, *edits, *sorted(collapsed_at)], curves, share, level, items)


def _endurance_interval(edits: Sequence[int], curves: Floats, share: float, level: float, n: int) -> EnduranceInterval:
    """Row 0 of ``curves`` is the measured curve, the others are resamples."""
    crossing = first_crossing(np.array(edits, dtype=np.float64), curves, share)
    measured = float(crossing[0])
    value = Endurance(edits=measured) if np.isfinite(measured) else Endurance(censored_at=edits[-1])
    if n < 2:
        return EnduranceInterval(value, None, None)
    ends = [(1 - level) / 2, (1 + level) / 2]
    # "inverted_cdf" picks an observed value: interpolating towards an infinite one would give infinity or NaN.
    low, high = np.quantile(crossing[1:], ends, method="inverted_cdf")
    draws = np.minimum(crossing[1:], float(edits[-1]))
    return EnduranceInterval(value, float(low), float(high), draws, curves[1:, -1].copy())
