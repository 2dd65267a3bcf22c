"""The headline of one run from its outcomes: effective edits with their interval, and what explains them.

The same cases, and the same items of abilities, are drawn for every run of a track and at all its checkpoints, so that
differences of two runs are paired.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from palimpsest.harness.metrics.probes import SCORES, CaseTable, harmonic_mean, main_score, nan_mean
from palimpsest.results.analysis.effective_edits import THRESHOLDS, course, edits_until, effective_edits, quality
from palimpsest.results.analysis.intervals.cases import RESAMPLES, drawn_parts, interval
from palimpsest.results.analysis.intervals.clusters import Clusters
from palimpsest.results.analysis.intervals.items import AbilityItems, drawn_kept
from palimpsest.results.analysis.intervals.means import LEVEL
from palimpsest.results.records import EditsUntil, Interval

RELATIVE = 0.8
"""Share of its own start under which the relative endurance of a curve ends."""
COLLAPSED = 60.0
"""Efficacy (preference form, percent) under which NAS (arXiv 2602.02543) calls a model collapsed."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Headline:
    """Edits that a run holds, and how well. Everything is empty where nothing was measured after an edit."""

    effective_edits: Interval = Interval(None)
    quality: Mapping[int, Interval] = field(default_factory=dict)
    """h at each scored checkpoint with edits, percent."""
    until: Mapping[float, EditsUntil] = field(default_factory=dict)
    """Threshold of h → edits until h falls under it."""
    relative: Mapping[str, EditsUntil] = field(default_factory=dict)
    """``editing`` and ``abilities`` → edits until the score, or the abilities kept, fall under `RELATIVE` of their own
    start."""
    draws: tuple[float, ...] = ()
    """Effective edits in each random draw; empty without an interval."""
    collapse_point: EditsUntil = EditsUntil()
    """See `collapse_point`."""


def headline(
    tables: Mapping[int, CaseTable],
    items: Mapping[int, list[AbilityItems]],
    form: str,
    *,
    collapsed_at: int | None = None,
    clusters: Clusters | None = None,
    resamples: int = RESAMPLES,
) -> Headline:
    """The headline of one run.

    Args:
        tables: Checkpoint → per-case values; at 0 edits of all cases of the schedule, else of all edits so far.
        items: Checkpoint → items of the ability tasks beside the unedited model's; empty: abilities take no part.
        form: Of the task: ``counterfact`` or ``zsre``.
        collapsed_at: Good edits of a run that collapsed.
        clusters: Of all cases of the run; None: they are independent.
        resamples: Random draws behind each interval; 0: values alone.
    """
    points = sorted(edits for edits in tables if edits > 0)
    collapse = collapse_point(tables, form, collapsed_at)
    if not points:
        return Headline() if collapsed_at is None else replace(_nothing_held(), collapse_point=collapse)
    names = SCORES[main_score(form)]
    if clusters is None:
        clusters = Clusters(np.unique(np.concatenate([table.case_ids for table in tables.values()])))
    parts = drawn_parts(tables, names, clusters, resamples=resamples)
    nothing = np.full(1 + resamples, np.nan)
    unedited = parts[0][:, 2] if 0 in parts else nothing
    kept = {edits: drawn_kept(items.get(edits, []), resamples=resamples) for edits in points}
    known = {edits for edits in points if not np.isnan(kept[edits][0])}
    if known and len(known) < len(points):  # part of the abilities cannot be compared: there is no one curve
        return Headline(collapse_point=collapse)
    held, uncut = (
        np.stack([_quality(parts[edits], unedited, kept[edits], most) for edits in points], axis=1)
        for most in (1.0, math.inf)
    )
    sizes = [len(tables[edits].case_ids) for edits in points]
    edits, curves = course(points, held, collapsed_at)
    beyond = course(points, uncut, collapsed_at)[1]
    area, cases = effective_edits(edits, curves), min(sizes)
    score = np.stack([harmonic_mean(parts[edits][0]) for edits in points])
    return Headline(
        effective_edits=interval(area, cases, effective_edits(edits, beyond), edits[-1]),
        quality={
            point: interval(100 * held[:, i], sizes[i], 100 * uncut[:, i], 100.0) for i, point in enumerate(points)
        },
        until={limit: _until(edits, curves, beyond, limit, cases) for limit in THRESHOLDS},
        relative=_relative(points, score, [float(kept[edits][0]) for edits in points], collapsed_at),
        draws=tuple(area[1:].tolist()) if cases > 1 else (),
        collapse_point=collapse,
    )


def collapse_point(tables: Mapping[int, CaseTable], form: str, collapsed_at: int | None = None) -> EditsUntil:
    """Fewest edits at which the efficacy of all edits so far was measured under `COLLAPSED`, as NAS counts.

    It is one of the checkpoints, nothing is drawn between them, or the collapse itself where that came first. Only
    tasks with two targets have the preference form; for others it is not measured.

    Args:
        tables: As `headline` takes them.
        form: Of the task.
        collapsed_at: Good edits of a run that collapsed.
    """
    if form != "counterfact":
        return EditsUntil()
    points = sorted(edits for edits in tables if edits > 0)
    for edits in points:
        if nan_mean(tables[edits].values["efficacy_preference"]) < COLLAPSED:
            return EditsUntil(float(edits))
    if collapsed_at is not None:
        return EditsUntil(float(collapsed_at))
    return EditsUntil(None, points[-1]) if points else EditsUntil()


def _quality(parts: Floats, unedited: Floats, kept: Floats, most: float) -> Floats:
    efficacy, paraphrase, neighborhood = parts.T
    return quality(efficacy, paraphrase, neighborhood, unedited, kept, most)


def _nothing_held() -> Headline:
    """Headline of a run that collapsed before its first checkpoint."""
    none = EditsUntil(0.0)
    return Headline(Interval(0.0), {}, dict.fromkeys(THRESHOLDS, none), {"editing": none})


def _until(edits: Floats, curves: Floats, uncut: Floats, limit: float, cases: int) -> EditsUntil:
    found, last = edits_until(edits, curves, limit), int(edits[-1])
    value = float(found[0])
    reached, beyond = (value, None) if math.isfinite(value) else (None, last)
    if cases < 2 or len(found) == 1:
        return EditsUntil(reached, beyond)
    # "inverted_cdf" picks an observed value: interpolating towards an infinite one would give infinity or NaN.
    low = float(np.quantile(found[1:], (1 - LEVEL) / 2, method="inverted_cdf"))
    high = float(np.quantile(edits_until(edits, uncut, limit)[1:], (1 + LEVEL) / 2, method="inverted_cdf"))
    return EditsUntil(reached, beyond, min(low, float(last)), high if math.isfinite(high) else None)


def _relative(points: list[int], score: Floats, kept: list[float], collapsed_at: int | None) -> dict[str, EditsUntil]:
    """Editing starts at the first checkpoint with edits, the abilities start with all of them at 0 edits."""
    if math.isnan(score[0]):  # the task lacks a part of the score
        editing = EditsUntil()
    else:
        editing = EditsUntil(0.0) if score[0] == 0 else _crossing(points, list(score), collapsed_at)
    if math.isnan(kept[0]):
        return {"editing": editing}
    return {"editing": editing, "abilities": _crossing([0, *points], [1.0, *kept], collapsed_at)}


def _crossing(points: list[int], values: list[float], collapsed_at: int | None) -> EditsUntil:
    edits, curve = course(points, values, collapsed_at)
    value = float(edits_until(edits, curve[None], RELATIVE * values[0])[0])
    return EditsUntil(value) if math.isfinite(value) else EditsUntil(None, int(edits[-1]))
