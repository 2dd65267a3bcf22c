"""Scores of ability tasks from their stored items: shares, weighted F1, MCC, perplexity, and what of them is kept.

Running text has a perplexity and no share of right items: it takes no part in the kept shares, since perplexity has no
level of guessing to measure from. Where a metric has degrees (ROUGE), their mean stands for the share. Run folders from
before labels were stored have the shares alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from palimpsest.harness.abilities.items import PERPLEXITY
from palimpsest.results.analysis.classification import confusion_terms, matthews, weighted_f1, word_perplexity
from palimpsest.results.analysis.intervals.cases import interval
from palimpsest.results.analysis.intervals.items import AbilityItems, ability_intervals, counted, draw_counts
from palimpsest.results.reading.run_folder import CheckedRun
from palimpsest.results.reading.tables import degrees
from palimpsest.results.records import Interval, MetricRow

ABILITIES_KEPT, F1_KEPT = "abilities_kept", "abilities_f1_kept"
Floats = NDArray[np.float64]
_MOST = 1e300


@dataclass(frozen=True, slots=True)
class AbilityScore:
    """One ability task at one checkpoint; percent."""

    edits: int
    ability: str
    metric: str
    chance: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class _Task:
    metric: str
    chance: float
    items_hash: str
    item: NDArray[np.int32]
    right: Floats
    """1 or 0, or between them where the task's metric has degrees."""
    label: NDArray[np.int64] | None
    """None: the task's items have no single label."""
    predicted: NDArray[np.int64] | None
    log_likelihood: Floats
    words: Floats


@dataclass(frozen=True, slots=True)
class AbilityResults:
    """Results of the ability tasks of one run."""

    scores: list[AbilityScore]
    metrics: list[MetricRow]
    paired: dict[int, list[AbilityItems]]
    """Checkpoint → items beside the pristine model's, where these are the same items."""
    counted: tuple[str, ...] = ()
    """Tasks that count in the kept share: the pristine model is surely above chance on them."""


def ability_results(run: CheckedRun, resamples: int) -> AbilityResults:
    """Scores of each task, the kept shares at each checkpoint, and the items beside the pristine model's.

    Without a checkpoint at 0 edits there is nothing to compare with: no kept share then. A checkpoint whose items
    differ from the pristine model's is compared on none of them either.
    """
    start = _tasks(run.checkpoints[0]["abilities.parquet"]) if 0 in run.checkpoints else {}
    alike = [AbilityItems(name, one.chance, one.right, one.right) for name, one in _shares(start).items()]
    found = AbilityResults([], [], {}, tuple(task.name for task in counted(alike)))
    first = {name: weighted_f1(counts) for name, counts in _confusions(start, resamples).items()}
    for edits, parts in run.checkpoints.items():
        now = _tasks(parts["abilities.parquet"])
        same = now.keys() == start.keys() and all(_same_items(now[name], start[name]) for name in now)
        shares = _shares(now)
        pairs = [
            AbilityItems(name, task.chance, task.right, start[name].right if same else task.right)
            for name, task in shares.items()
        ]
        kept, single = ability_intervals(pairs, resamples=resamples)
        for name, task in shares.items():
            found.scores.append(AbilityScore(edits, name, task.metric, 100 * task.chance, single[name]))
        if same and pairs:
            found.paired[edits] = pairs
        if same and found.counted:
            sure = edits == 0 and kept.low is not None  # the unedited model is what it is compared with
            kept = replace(kept, low=kept.value, high=kept.value) if sure else kept
            found.metrics.append(MetricRow(edits, "", ABILITIES_KEPT, kept))
        found.metrics.extend(_further(now, first if same else {}, edits, resamples))
    return found


def _shares(tasks: Mapping[str, _Task]) -> dict[str, _Task]:
    """The tasks that have right items; running text has none."""
    return {name: task for name, task in tasks.items() if task.metric != PERPLEXITY}


def _same_items(one: _Task, other: _Task) -> bool:
    return np.array_equal(one.item, other.item) and one.items_hash == other.items_hash


def _further(now: Mapping[str, _Task], first: Mapping[str, Floats], edits: int, resamples: int) -> list[MetricRow]:
    """F1, MCC and perplexity of each task, and the mean share of the pristine model's F1, which is ``first``."""
    rows: list[MetricRow] = []
    ratios: list[tuple[Floats, int]] = []
    confusions = _confusions(now, resamples)
    for index, (name, task) in enumerate(now.items()):
        if task.metric == PERPLEXITY:
            rows.append(MetricRow(edits, "", f"ability_perplexity:{name}", _perplexity(task, index, resamples)))
        elif name in confusions:
            f1 = weighted_f1(confusions[name])
            rows.append(MetricRow(edits, "", f"ability_f1:{name}", _percent(f1, len(task.item))))
            rows.append(
                MetricRow(edits, "", f"ability_mcc:{name}", _percent(matthews(confusions[name]), len(task.item)))
            )
            if name in first and first[name][0] > 0:
                ratios.append((f1 / np.maximum(first[name], 1e-9), len(task.item)))
    if ratios:
        mean: Floats = np.mean([ratio for ratio, _ in ratios], axis=0)
        rows.append(MetricRow(edits, "", F1_KEPT, _percent(mean, sum(n for _, n in ratios))))
    return rows


def _percent(drawn: Floats, n: int) -> Interval:
    return interval(100 * drawn, n)


def _confusions(tasks: Mapping[str, _Task], resamples: int) -> dict[str, Floats]:
    """Confusion counts of each task with labels, then those of its resamples: (1 + resamples, classes, classes).

    The place of a task is the seed of its resamples, so that the pristine and the edited model are drawn alike.
    """
    found = {}
    for index, (name, task) in enumerate(tasks.items()):
        if task.label is None or task.predicted is None:
            continue
        cells, width = confusion_terms(task.label, task.predicted)
        single = np.zeros((len(cells), width * width))
        single[np.arange(len(cells)), cells] = 1
        drawn = draw_counts(len(cells), resamples, index).astype(np.float64) @ single
        found[name] = np.concatenate([single.sum(axis=0)[None], drawn]).reshape(-1, width, width)
    return found


def _perplexity(task: _Task, seed: int, resamples: int) -> Interval:
    """Perplexity per word, pages resampled; what is beyond all bounds is cut at 1e300."""
    counts = draw_counts(len(task.item), resamples, seed).astype(np.float64)
    whole = min(float(word_perplexity(task.log_likelihood, task.words)), _MOST)
    with np.errstate(invalid="ignore"):
        draws = word_perplexity(counts * task.log_likelihood, counts * task.words)
    return interval(np.concatenate([[whole], np.minimum(draws, _MOST)]), len(task.item))


def _tasks(table: pa.Table) -> dict[str, _Task]:
    tasks = {}
    for name in sorted(pc.unique(table["ability"]).to_pylist()):
        rows = table.filter(pc.equal(table["ability"], name)).sort_by("item")
        label, predicted = _labels(rows, "label"), _labels(rows, "predicted")
        tasks[name] = _Task(
            metric=rows["metric"][0].as_py(),
            chance=rows["chance"][0].as_py(),
            items_hash=rows["items_hash"][0].as_py() or "",
            item=rows["item"].to_numpy(),
            right=degrees(rows),
            label=label if predicted is not None else None,
            predicted=predicted if label is not None else None,
            log_likelihood=pc.fill_null(rows["log_likelihood"], float("nan")).to_numpy(),
            words=pc.fill_null(rows["words"], 0).to_numpy().astype(np.float64),
        )
    return tasks


def _labels(rows: pa.Table, name: str) -> NDArray[np.int64] | None:
    if rows[name].null_count:
        return None
    found: NDArray[np.int64] = rows[name].to_numpy().astype(np.int64)
    return found
