"""Confidence intervals: a seeded percentile bootstrap over cases, vectorised over resamples and metrics.

All probes of a case are resampled together. Where cases share a subject, give the subjects as ``clusters``: they are
then resampled as a whole, since edits of one subject succeed and fail together. Every function is deterministic in its
seed. An interval from fewer than two cases is not given. A share that is 0 or 100 % in every case gets an interval of
width zero: the percentile bootstrap sees no spread there, although a finite sample leaves some.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palimpsest.harness.metrics.abilities_kept import above_chance, counts
from palimpsest.harness.metrics.probes import SCORES, CaseTable, aggregate, harmonic_mean
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
    correct: NDArray[Any]
    """True or 1 for right items, false or 0 for wrong ones; between them where the task's metric has degrees."""
    pristine: NDArray[Any]
    """Same items in the same order."""


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


def resampled_parts(
    checkpoints: Mapping[int, CaseTable],
    parts: Sequence[str],
    *,
    clusters: Mapping[int, Hashable] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[int, Floats]:
    """Means of some metrics at all checkpoints, as shares, resampling cases jointly across checkpoints.

    Args:
        checkpoints: edits → per-case values.
        parts: names of metrics in percent; one that a table lacks is NaN.
        clusters: case id → label of its cluster; None resamples cases singly.
        resamples: number of resamples.
        seed: of the generator.

    Returns:
        Edits → shape (1 + resamples, parts): what was measured, then the resamples.
    """
    if not checkpoints:
        return {}
    cases = np.unique(np.concatenate([table.case_ids for table in checkpoints.values()]))
    labels = None if clusters is None else [clusters[case] for case in cases.tolist()]
    drawn = _case_counts(len(cases), resamples, seed, labels)
    found: dict[int, Floats] = {}
    for edits, table in checkpoints.items():
        absent = np.full(len(table.case_ids), np.nan)
        values = np.stack([table.values.get(part, absent) for part in parts], axis=1) / 100.0
        own = drawn[:, np.searchsorted(cases, table.case_ids)]
        everything = np.ones((1, len(table.case_ids)), dtype=np.float32)
        found[edits] = _resampled_means(np.concatenate([everything, own]), values)
    return found


def bootstrap_abilities(
    tasks: Sequence[AbilityItems], *, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> tuple[Interval, dict[str, Interval]]:
    """Kept share of abilities and the score of each task, both in percent, resampling the items of each task.

    The same items are drawn for the edited and the pristine model. ``n`` of the kept share counts the items of the
    tasks that count.
    """
    scores, _ = _ability_draws(tasks, resamples, seed)
    single = {
        task.name: interval(100.0 * _mean(task.correct), 100.0 * scores[1:, i], len(task.correct), level)
        for i, task in enumerate(tasks)
    }
    kept = resampled_kept(tasks, resamples=resamples, seed=seed)
    items = sum(len(task.correct) for task in counted(tasks))
    return interval(100.0 * float(kept[0]), 100.0 * kept[1:], items, level), single


def counted(tasks: Sequence[AbilityItems]) -> list[AbilityItems]:
    """The tasks that count; see `palimpsest.harness.metrics.abilities_kept.counts`."""
    return [t for t in tasks if counts(_mean(t.pristine), t.chance, len(t.pristine))]


def resampled_kept(tasks: Sequence[AbilityItems], *, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """The share of abilities kept as measured, then in each resample, (1 + resamples,); NaN where no task counts.

    What the unedited model has above chance is at least a quarter of its measured value in every resample. A task
    counts only if that value is three standard errors or more: the bound is met in fewer than 2 % of the resamples.
    """
    taken = {task.name for task in counted(tasks)}
    if not taken:
        return np.full(1 + resamples, np.nan)
    scores, pristine = _ability_draws(tasks, resamples, seed)
    columns = [i for i, task in enumerate(tasks) if task.name in taken]
    chance = np.array([tasks[i].chance for i in columns])
    above = above_chance(scores[:, columns], chance).sum(axis=1)
    base = above_chance(pristine[:, columns], chance).sum(axis=1)
    kept: Floats = above / np.maximum(base, base[0] / 4)
    return kept


def _mean(correct: NDArray[Any]) -> float:
    return float(np.mean(correct)) if len(correct) else float("nan")


def _ability_draws(tasks: Sequence[AbilityItems], resamples: int, seed: int) -> tuple[Floats, Floats]:
    """Scores of the edited and the pristine model as shares, (1 + resamples, tasks): measured, then resampled."""
    scores = np.full((1 + resamples, len(tasks)), np.nan)
    pristine = np.full((1 + resamples, len(tasks)), np.nan)
    for i, task in enumerate(tasks):
        if len(task.correct) != len(task.pristine):
            raise ValueError(f"{task.name}: {len(task.correct)} items, but {len(task.pristine)} on the pristine model")
        if len(task.correct):
            drawn = draw_counts(len(task.correct), resamples, seed + i).astype(np.float64)
            weights = np.concatenate([np.ones((1, len(task.correct))), drawn])
            both = weights @ np.stack([task.correct, task.pristine], axis=1).astype(np.float64) / len(task.correct)
            scores[:, i], pristine[:, i] = both[:, 0], both[:, 1]
    return scores, pristine
