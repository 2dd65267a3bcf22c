"""The headline of one run from its outcomes: effective edits with their interval, and what explains them.

The same cases, and the same items of abilities, are drawn for every run of a track and at all its checkpoints, so that
differences of two runs are paired.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from palimpsest.harness.metrics.probes import SCORES, CaseTable, harmonic_mean, main_score, nan_mean
from palimpsest.results.analysis.effective_edits import THRESHOLDS, course, edits_until, effective_edits, quality
from palimpsest.results.analysis.uncertainty import (
    LEVEL,
    RESAMPLES,
    AbilityItems,
    interval,
    resampled_kept,
    resampled_parts,
)
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
    """Effective edits in each resample; empty without an interval."""
    collapse_point: EditsUntil = EditsUntil()
    """See `collapse_point`."""


def headline(
    tables: Mapping[int, CaseTable],
    items: Mapping[int, list[AbilityItems]],
    form: str,
    *,
    collapsed_at: int | None = None,
    clusters: Mapping[int, Hashable] | None = None,
    resamples: int = RESAMPLES,
) -> Headline:
    """The headline of one run.

    Args:
        tables: Checkpoint → per-case values; at 0 edits of all cases of the schedule, else of all edits so far.
        items: Checkpoint → items of the ability tasks beside the unedited model's; empty: abilities take no part.
        form: Of the task: ``counterfact`` or ``zsre``.
        collapsed_at: Good edits of a run that collapsed.
        clusters: Case id → label of its cluster; None resamples cases singly.
        resamples: Of each interval; 0: values alone.
    """
    points = sorted(edits for edits in tables if edits > 0)
    collapse = collapse_point(tables, form, collapsed_at)
    if not points:
        return Headline() if collapsed_at is None else replace(_nothing_held(), collapse_point=collapse)
    names = SCORES[main_score(form)]
    parts = resampled_parts(tables, names, clusters=clusters, resamples=resamples)
    nothing = np.full(1 + resamples, np.nan)
    unedited = parts[0][:, 2] if 0 in parts else nothing
    kept = {edits: resampled_kept(items.get(edits, []), resamples=resamples) for edits in points}
    known = {edits for edits in points if not np.isnan(kept[edits][0])}
    if known and len(known) < len(points):  # part of the abilities cannot be compared: there is no one curve
        return Headline(collapse_point=collapse)
    held = np.stack([_quality(parts[edits], unedited, kept[edits]) for edits in points], axis=1)
    cases = min(len(tables[edits].case_ids) for edits in points)
    edits, curves = course(points, held, collapsed_at)
    area = effective_edits(edits, curves)
    score = np.stack([harmonic_mean(parts[edits][0]) for edits in points])
    return Headline(
        effective_edits=interval(float(area[0]), area[1:], cases),
        quality={
            point: interval(100 * float(held[0, i]), 100 * held[1:, i], len(tables[point].case_ids))
            for i, point in enumerate(points)
        },
        until={limit: _until(edits, curves, limit, cases) for limit in THRESHOLDS},
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


def _quality(parts: Floats, unedited: Floats, kept: Floats) -> Floats:
    efficacy, paraphrase, neighborhood = parts.T
    return quality(efficacy, paraphrase, neighborhood, unedited, kept)


def _nothing_held() -> Headline:
    """Headline of a run that collapsed before its first checkpoint."""
    none = EditsUntil(0.0)
    return Headline(Interval(0.0), {}, dict.fromkeys(THRESHOLDS, none), {"editing": none})


def _until(edits: Floats, curves: Floats, limit: float, cases: int) -> EditsUntil:
    found = edits_until(edits, curves, limit)
    value, last = float(found[0]), int(edits[-1])
    reached, beyond = (value, None) if math.isfinite(value) else (None, last)
    if cases < 2 or len(found) == 1:
        return EditsUntil(reached, beyond)
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    # "inverted_cdf" picks an observed value: interpolating towards an infinite one would give infinity or NaN.
    low, high = np.quantile(found[1:], ends, method="inverted_cdf").tolist()
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
