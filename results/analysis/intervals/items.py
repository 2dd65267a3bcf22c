"""Intervals of ability tasks: items are resampled, the same ones for the edited and the unedited model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palimpsest.harness.metrics.abilities_kept import above_chance, counts
from palimpsest.results.analysis.intervals.cases import RESAMPLES, interval
from palimpsest.results.analysis.intervals.clusters import Clusters
from palimpsest.results.analysis.intervals.means import means
from palimpsest.results.records import Interval

Floats = NDArray[np.float64]
_KEEP = 2_000_000  # draws worth remembering: at most 8 MB each
_CHUNK = 4_000_000  # draws made at once: bounds the memory of large tables to some tens of MB
_UNSEEN = 11
"""Part of the seed of the items that nobody saw."""


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

    Not to be written to: small ones are kept, since checkpoints and runs ask for the same draws again.
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


def ability_intervals(
    tasks: Sequence[AbilityItems], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Interval, dict[str, Interval]]:
    """Kept share of abilities and the score of each task, both in percent.

    ``n`` of the kept share counts the items of the tasks that count.
    """
    single = {task.name: score_interval(task.correct, resamples) for task in tasks}
    kept = drawn_kept(tasks, resamples=resamples, seed=seed)
    return interval(100.0 * kept, sum(len(task.correct) for task in counted(tasks))), single


def score_interval(correct: NDArray[Any], resamples: int = RESAMPLES) -> Interval:
    """Share of right items in percent, with Wilson's interval; without one for no ``resamples``."""
    n = len(correct)
    value = 100.0 * float(np.mean(correct)) if n else None
    if n < 2 or not resamples:
        return Interval(value, n=n)
    low, high = means(correct[:, None].astype(np.float64), [True], Clusters(np.arange(n))).interval()
    return Interval(value, 100 * float(low[0]), 100 * float(high[0]), n)


def counted(tasks: Sequence[AbilityItems]) -> list[AbilityItems]:
    """The tasks that count; see `palimpsest.harness.metrics.abilities_kept.counts`."""
    return [t for t in tasks if len(t.pristine) and counts(np.mean(t.pristine), t.chance, len(t.pristine))]


def drawn_kept(tasks: Sequence[AbilityItems], *, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """The share of abilities kept as measured, then in each resample, (1 + resamples,); NaN where no task counts.

    Items that changed are few where abilities are kept, and none may be among those asked. So each resample also draws
    one item lost and one item gained that nobody saw, as often as one item of many is drawn: where nothing changed, the
    interval is three items wide to each side, as the rule of three has it. What the unedited model has above chance is
    at least a quarter of its measured value in every resample. A task counts only if that value is three standard
    errors or more: the bound is met in fewer than 2 % of the resamples.
    """
    above, base, unseen = np.zeros(1 + resamples), np.zeros(1 + resamples), 0.0
    taken = {task.name for task in counted(tasks)}
    for place, task in enumerate(tasks):
        if len(task.correct) != len(task.pristine):
            raise ValueError(f"{task.name}: {len(task.correct)} items, but {len(task.pristine)} on the pristine model")
        if task.name in taken:
            scores = _scores(task, resamples, seed + place)
            above += above_chance(scores[:, 0], task.chance)
            base += above_chance(scores[:, 1], task.chance)
            unseen += 1 / len(task.correct) / (1 - task.chance) ** 2
    if not taken:
        return np.full(1 + resamples, np.nan)
    items = sum(len(task.correct) for task in tasks if task.name in taken)
    above[1:] += np.sqrt(unseen / items) * _changes(resamples, seed)
    kept: Floats = above / np.maximum(base, base[0] / 4)
    return kept


def _scores(task: AbilityItems, resamples: int, seed: int) -> Floats:
    """Shares of right items of the edited and the pristine model, (1 + resamples, 2): measured, then resampled."""
    both = np.stack([task.correct, task.pristine], axis=1).astype(np.float64)
    drawn = draw_counts(len(both), resamples, seed) @ both.astype(np.float32)
    return np.concatenate([both.sum(axis=0)[None], drawn]) / len(both)


def _changes(resamples: int, seed: int) -> Floats:
    """Items gained less items lost among those that nobody saw, (resamples,)."""
    gained, lost = np.random.default_rng([seed, _UNSEEN]).poisson(1.0, size=(2, resamples))
    return np.asarray(gained - lost, dtype=np.float64)
