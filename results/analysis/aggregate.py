"""From the outcomes of single probes to what the board shows: metrics with intervals, and endurance.

Aggregates are always computed here, from outcomes, and never taken from a run folder.

**Collapse.** A run that collapsed after N good edits (``result.json``) counts as 0 in every share, score and ability
kept at each planned checkpoint after N; such rows are marked as imputed. Its endurance is interpolated towards that 0
as between any two checkpoints, but is never more than the N edits it survived. A run that collapsed before its first
checkpoint with edits has an editing endurance of 0.

**Unfinished runs.** A partial or failed run has the endurance of the checkpoints it reached; it is not ranked. A
finished run of which a checkpoint is missing or damaged counts as partial.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from palimpsest.harness.metrics.probes import SCORES, CaseTable, Outcomes, case_table, main_score
from palimpsest.harness.runs.layout import TEXTS
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.harness.specs.windows import WINDOWS, window_size
from palimpsest.results.analysis.abilities import ABILITIES_KEPT, F1_KEPT, AbilityResults, AbilityScore, ability_results
from palimpsest.results.analysis.endurance import ENDURANCE_SHARE, HALF_LIFE_SHARE, Endurance, smaller
from palimpsest.results.analysis.texts import TextMetrics
from palimpsest.results.analysis.uncertainty import (
    AbilityItems,
    EnduranceInterval,
    bootstrap_endurance,
    bootstrap_endurance_abilities,
    bootstrap_metrics,
)
from palimpsest.results.reading.run_folder import CheckedRun
from palimpsest.results.reading.tables import filled
from palimpsest.results.reading.text_files import TEXT_METRICS, TOP_METRICS
from palimpsest.results.records import EnduranceValue, Interval, MetricRow, RunStatus

SHARES = {"endurance": ENDURANCE_SHARE, "half_life": HALF_LIFE_SHARE}


@dataclass(frozen=True, slots=True)
class Aggregates:
    """All that is computed from one run's outcomes."""

    status: RunStatus
    reason: str | None
    edits_done: int
    imputed: tuple[int, ...]
    """Planned checkpoints after a collapse."""
    metrics: list[MetricRow]
    abilities: list[AbilityScore]
    endurance: dict[tuple[str, float], EnduranceValue]
    """(``editing``, ``abilities`` or ``both``; share) → value."""
    draws: dict[str, tuple[float, ...]]
    """``endurance`` and ``score`` (the main one at the last checkpoint) in each resample; the same cases are drawn for
    every run of a track, so that differences of two runs are paired. Missing where there is no interval."""


def aggregate_run(run: CheckedRun) -> Aggregates:
    """Compute everything from the outcomes in ``run``; deterministic."""
    status, reason = _status(run)
    imputed: tuple[int, ...] = ()
    if status == "collapsed" and run.ending is not None:
        imputed = tuple(p for p in run.spec.schedule.checkpoints if p > run.ending.edits)
    subjects = dict(zip(run.cases["case_id"].to_pylist(), run.cases["subject"].to_pylist(), strict=True))
    clusters = subjects if len(set(subjects.values())) < len(subjects) else None
    metrics: list[MetricRow] = []
    tables: dict[int, CaseTable] = {}
    for edits, parts in run.checkpoints.items():
        rows, table = _checkpoint_metrics(parts["probes.parquet"], edits, run.spec.task.form, clusters)
        metrics += rows
        if table is not None:
            tables[edits] = table
    metrics += _text_metrics(run, clusters)
    abilities = ability_results(run)
    metrics += abilities.metrics
    for edits in imputed:
        metrics += _imputed(run.spec, edits, abilities)
    endurance, draws = _endurance(run, tables, abilities.paired, imputed, clusters)
    return Aggregates(status, reason, _edits_done(run), imputed, metrics, abilities.scores, endurance, draws)


def _status(run: CheckedRun) -> tuple[RunStatus, str | None]:
    if run.ending is None:
        return "partial", None
    due = [p for p in run.spec.schedule.checkpoints if p <= run.ending.edits]
    missing = [str(p) for p in due if p not in run.checkpoints]
    if run.ending.status == "failed":
        return "failed", run.ending.reason
    if missing:
        return "partial", f"ended, but its checkpoints at {', '.join(missing)} edits are missing or damaged"
    return ("collapsed" if run.ending.status == "collapsed" else "complete"), run.ending.reason


def _edits_done(run: CheckedRun) -> int:
    """Edits that are known to be safe: by the result, else by saves and scored checkpoints."""
    if run.ending is not None:
        return run.ending.edits
    saved = [e.get("edits") for _, e in run.events if e["event"] in ("save", "checkpoint")]
    good = [n for n in saved if isinstance(n, int) and 0 <= n <= run.spec.schedule.edits]
    return max([*good, *run.checkpoints, 0])


def _checkpoint_metrics(
    probes: pa.Table, edits: int, form: str, clusters: Mapping[int, Hashable] | None
) -> tuple[list[MetricRow], CaseTable | None]:
    """Metrics of each window, and the per-case values of the window ``all``."""
    rows: list[MetricRow] = []
    whole: CaseTable | None = None
    optional = ("tokens_top", "hits_top", "exact_top", *(f"window_{name}" for name in WINDOWS))
    columns = {name: probes[name].to_numpy() for name in probes.column_names if name not in ("kind", *optional)}
    columns |= {name: filled(probes, name) for name in optional}
    kinds = probes["kind"].combine_chunks().dictionary_encode()
    names = np.array(kinds.dictionary.to_pylist(), dtype=np.str_)
    columns["kind"] = names[kinds.indices.to_numpy()]
    for window in WINDOWS:
        inside = columns[f"window_{window}"]
        if not inside.any():
            continue
        outcomes = Outcomes.from_columns({name: columns[name][inside] for name in Outcomes.__slots__})
        table = case_table(outcomes, form)
        labels = None if clusters is None else [clusters[case] for case in table.case_ids.tolist()]
        for metric, interval in bootstrap_metrics(table, clusters=labels).items():
            rows.append(MetricRow(edits, window, metric, interval))
        if window == "all":
            whole = table
    return rows, whole


def _text_metrics(run: CheckedRun, clusters: Mapping[int, Hashable] | None) -> list[MetricRow]:
    """Fluency and consistency at each checkpoint that has sampled texts."""
    tables = {edits: parts[TEXTS] for edits, parts in run.checkpoints.items() if TEXTS in parts and len(parts[TEXTS])}
    if not tables:
        return []
    made, rows = TextMetrics(run.cases, run.probes), []
    for edits, texts in tables.items():
        table = made.table(texts)
        labels = None if clusters is None else [clusters[case] for case in table.case_ids.tolist()]
        found = bootstrap_metrics(table, clusters=labels)
        rows += [MetricRow(edits, "all" if edits else "planned", name, found[name]) for name in TEXT_METRICS]
    return rows


def _imputed(spec: RunSpec, edits: int, found: AbilityResults) -> list[MetricRow]:
    """Zeros for a checkpoint that a collapsed run did not reach, in all that a failure lowers to 0."""
    forms = ("token_accuracy",) if spec.task.form == "zsre" else ("preference", "argmax")
    scores = [f"score_{form}" for form in forms]
    names = [*scores, *(part for score in scores for part in SCORES[score])]
    names += TOP_METRICS if spec.scoring.top else ()
    rows = []
    for window in (name for name in WINDOWS if window_size(name, edits)):
        cases = window_size(window, edits)
        zero = Interval(0.0, 0.0, 0.0, min(cases, spec.scoring.sample or cases))
        rows += [MetricRow(edits, window, name, zero, imputed=True) for name in sorted(names)]
    texts = min(spec.scoring.generation.cases, edits)
    if texts:
        zero = Interval(0.0, 0.0, 0.0, texts)
        rows += [MetricRow(edits, "all", name, zero, imputed=True) for name in TEXT_METRICS]
    if spec.abilities:
        rows.append(MetricRow(edits, "", ABILITIES_KEPT, Interval(0.0, 0.0, 0.0, 0), imputed=True))
    if found.metrics and any(row.metric == F1_KEPT for row in found.metrics):
        rows.append(MetricRow(edits, "", F1_KEPT, Interval(0.0, 0.0, 0.0, 0), imputed=True))
    return rows


def _endurance(
    run: CheckedRun,
    tables: Mapping[int, CaseTable],
    items: Mapping[int, list[AbilityItems]],
    imputed: tuple[int, ...],
    clusters: Mapping[int, Hashable] | None,
) -> tuple[dict[tuple[str, float], EnduranceValue], dict[str, tuple[float, ...]]]:
    limit = run.ending.edits if imputed and run.ending is not None else None
    values: dict[tuple[str, float], EnduranceValue] = {}
    draws: dict[str, tuple[float, ...]] = {}
    for share in SHARES.values():
        found: list[EnduranceInterval] = []
        if tables or not imputed:
            score = main_score(run.spec.task.form)
            found.append(bootstrap_endurance(tables, score, collapsed_at=imputed, clusters=clusters, share=share))
            editing = _capped(found[0], limit)
        else:
            editing = EnduranceValue(edits=0.0)
        abilities = EnduranceValue()
        if any(items):
            found.append(bootstrap_endurance_abilities(items, collapsed_at=imputed, share=share))
            abilities = _capped(found[-1], limit)
        elif imputed and 0 in items:
            abilities = EnduranceValue(edits=min((1 - share) * imputed[0], float(limit or 0)))
        values["editing", share], values["abilities", share] = editing, abilities
        values["both", share] = _smaller(editing, abilities)
        if share == ENDURANCE_SHARE and tables:
            draws = _draws(found, limit)
    return values, draws


def _draws(found: list[EnduranceInterval], limit: int | None) -> dict[str, tuple[float, ...]]:
    """Endurance (the smaller of editing and abilities) and final score in each resample."""
    known = [one.draws for one in found if one.draws is not None]
    if not known or found[0].final is None:
        return {}
    smallest = np.minimum.reduce(known)
    endurance = smallest if limit is None else np.minimum(smallest, limit)
    return {"endurance": tuple(endurance.tolist()), "score": tuple(found[0].final.tolist())}


def _capped(found: EnduranceInterval, limit: int | None) -> EnduranceValue:
    """As a plain value: ends that are not finite become None, and nothing exceeds the edits before a collapse."""
    top = math.inf if limit is None else float(limit)
    edits, censored_at = found.value.edits, found.value.censored_at
    low, high = found.low, found.high
    if low is not None:
        low = min(low, top, math.inf if censored_at is None else float(censored_at))
    if high is not None:
        high = min(high, top)
    return EnduranceValue(
        edits=None if edits is None else min(edits, top),
        censored_at=censored_at,
        low=low if low is not None and math.isfinite(low) else None,
        high=high if high is not None and math.isfinite(high) else None,
    )


def _smaller(one: EnduranceValue, other: EnduranceValue) -> EnduranceValue:
    """The smaller value; its interval is that of the minimum of the ends, an open end counting as the largest."""
    value = smaller(Endurance(one.edits, one.censored_at), Endurance(other.edits, other.censored_at))
    measured = [v for v in (one, other) if v.edits is not None or v.censored_at is not None]
    lows = [v.low for v in measured if v.low is not None]
    highs = [v.high for v in measured if v.low is not None and v.high is not None]
    if len(lows) < len(measured):
        return EnduranceValue(value.edits, value.censored_at)
    return EnduranceValue(value.edits, value.censored_at, min(lows, default=None), min(highs, default=None))
