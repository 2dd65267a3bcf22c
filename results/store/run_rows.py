"""Rows of the store's tables for one run: from its checked folder and its aggregates, texts cleaned."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from palimpsest.harness.runs.layout import CONTINUATIONS, TEXTS
from palimpsest.results.analysis.aggregate import Aggregates
from palimpsest.results.analysis.courses import ability_courses, case_courses, texts_hash
from palimpsest.results.analysis.headline import Headline
from palimpsest.results.analysis.reports import Reported, gather
from palimpsest.results.reading.cleaning import NAME_LENGTH, clean_json, clean_optional, clean_text
from palimpsest.results.reading.foreign_json import number, numbers, utc_time, whole
from palimpsest.results.reading.run_folder import CheckedRun
from palimpsest.results.records import EditsUntil

Rows = list[dict[str, Any]]

RUN_TABLES = (
    "runs",
    "headlines",
    "checkpoints",
    "cases",
    "probes",
    "case_scores",
    "metrics",
    "ability_scores",
    "ability_items",
    "diagnostics",
    "answers",
    "texts",
    "continuations",
    "timings",
    "batch_reports",
    "environment",
    "events",
    "rank_draws",
    "case_courses",
    "ability_courses",
)
"""Every table that has rows per run, each with the column ``run_id``."""

_MAX_EVENTS = 20_000
_ENDINGS = {"run_finished", "run_collapsed", "run_failed"}


def run_tables(run: CheckedRun, found: Aggregates, bundle: str | None = None) -> dict[str, Rows | pa.Table]:
    """All rows of one run, by table; ``run_id`` is filled in everywhere.

    Args:
        run: the run's checked folder.
        found: its aggregates.
        bundle: SHA-256 of the ``bundle.json`` of a submission; None: a run of this home.
    """
    spec, batches = run.spec, _batches(run)
    tables: dict[str, Rows | pa.Table] = {
        "runs": [_run(run, found, batches) | {"bundle": bundle}],
        "headlines": _headlines(found.headline),
        "checkpoints": _checkpoints(run, found),
        "cases": run.cases,
        "probes": run.probes,
        "case_scores": _stacked(run, "probes.parquet"),
        "metrics": _metrics(found),
        "ability_scores": _ability_scores(found),
        "ability_items": _stacked(run, "abilities.parquet", ("ability", "item", "correct")),
        "diagnostics": _diagnostics(run, batches),
        "answers": _stacked(run, "answers.parquet"),
        "texts": _stacked(run, TEXTS),
        "continuations": _stacked(run, CONTINUATIONS),
        "timings": [_timing(batch, event) for batch, event in sorted(batches.items())],
        "batch_reports": [row for batch, event in sorted(batches.items()) for row in _reports(batch, event)],
        "environment": [_segment(index, segment) for index, segment in enumerate(run.segments)],
        "events": _events(run),
        "rank_draws": [{"draws": list(found.headline.draws)}] if found.headline.draws else [],
        "case_courses": case_courses(run.checkpoints, run.cases, spec.task.form),
        "ability_courses": ability_courses(run.checkpoints),
    }
    return {name: _with_run_id(rows, run.run_id) for name, rows in tables.items()}


def _with_run_id(rows: Rows | pa.Table, run_id: str) -> Rows | pa.Table:
    if isinstance(rows, pa.Table):
        return rows.append_column("run_id", pa.repeat(pa.scalar(run_id), len(rows)))
    return [{"run_id": run_id} | row for row in rows]


def _stacked(run: CheckedRun, name: str, columns: tuple[str, ...] | None = None) -> pa.Table | Rows:
    """One file of all checkpoints under each other, with a column ``edits``."""
    parts = []
    for edits, tables in run.checkpoints.items():
        if name not in tables:
            continue
        table = tables[name] if columns is None else tables[name].select(columns)
        parts.append(table.append_column("edits", pa.repeat(pa.scalar(edits, pa.int32()), len(table))))
    return pa.concat_tables(parts) if parts else []


def _diagnostics(run: CheckedRun, batches: Mapping[int, Mapping[str, Any]]) -> pa.Table | Rows:
    """Measurements at the checkpoints, and reports of the batches before each."""
    measured = _stacked(run, "diagnostics.parquet")
    if not isinstance(measured, pa.Table):
        return measured
    reported: Rows = []
    begin = 0
    for checkpoint in run.spec.schedule.checkpoints:
        if checkpoint in run.checkpoints:
            between = {index: event for index, event in batches.items() if begin < event["edits"] <= checkpoint}
            rows = gather([_reported(event, index * run.spec.schedule.batch_size) for index, event in between.items()])
            reported += [{"name": r.name, "layer": r.layer, "value": r.value, "edits": checkpoint} for r in rows]
        begin = checkpoint
    return pa.concat_tables([measured, pa.Table.from_pylist(reported, measured.schema)])


def _reported(event: Mapping[str, Any], begin: int) -> Reported:
    """The report of the batch that begins after ``begin`` edits; empty if the journal has none."""
    report = event.get("report")
    parts = report if isinstance(report, dict) else {}
    return Reported(max(0, event["edits"] - begin), numbers(parts.get("counters")), numbers(parts.get("values")))


def _run(run: CheckedRun, found: Aggregates, batches: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    spec = run.spec
    seconds = [number(event.get("seconds_edit")) for event in batches.values()]
    edits = [whole(event.get("edits")) or 0 for event in batches.values()]
    memory = [m for _, e in run.events if e["event"] == "batch" and (m := number(e.get("peak_memory_mb"))) is not None]
    row = spec.model_dump(mode="json", exclude={"seed"})
    timed = None if not seconds or None in seconds else sum(s for s in seconds if s is not None)
    return {
        "track_id": spec.track_id,
        "digest": run.digest,
        "protocol": spec.protocol,
        "model": clean_text(spec.model.name, NAME_LENGTH),
        "model_fingerprint": spec.model.fingerprint,
        "editor": clean_text(spec.editor.name, NAME_LENGTH),
        "distribution": clean_text(spec.editor.distribution, NAME_LENGTH),
        "version": clean_text(spec.editor.version, NAME_LENGTH),
        "task": clean_text(spec.task.name, NAME_LENGTH),
        "task_form": spec.task.form,
        "task_hash": spec.task.content_hash,
        "edits_planned": spec.schedule.edits,
        "batch_size": spec.schedule.batch_size,
        "checkpoints": list(spec.schedule.checkpoints),
        "order_seed": spec.schedule.order_seed if isinstance(spec.schedule.order_seed, int) else None,
        "edit_order": spec.schedule.order,
        "sample": spec.scoring.sample,
        "scoring_seed": spec.scoring.seed,
        "abilities": [clean_text(ability.name, NAME_LENGTH) for ability in spec.abilities],
        "abilities_counted": [clean_text(name, NAME_LENGTH) for name in found.abilities_counted],
        "seed": spec.seed,
        "row_id": hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:12],
        "texts_hash": texts_hash(run.cases, run.probes),
        "spec": json.dumps(clean_json(spec.model_dump(mode="json")), sort_keys=True, ensure_ascii=False),
        "status": found.status,
        "edits_done": found.edits_done,
        "reason": found.reason,
        "started_at": _started(run),
        "finished_at": _finished(run),
        "seconds_per_edit": timed / max(edits) if timed is not None and max(edits) > 0 else None,
        "peak_memory_mb": max(memory, default=None),
    }


def _started(run: CheckedRun) -> str | None:
    times = [segment.get("started_at") for segment in run.segments[:1]] + [e.get("time") for _, e in run.events[:1]]
    return next((time for value in times if (time := utc_time(value)) is not None), None)


def _finished(run: CheckedRun) -> str | None:
    if run.ending is None:
        return None
    return next((utc_time(e.get("time")) for _, e in reversed(run.events) if e["event"] in _ENDINGS), None)


def _headlines(found: Headline) -> Rows:
    one = found.effective_edits
    rows: Rows = [{"quantity": "effective_edits", "edits": one.value, "low": one.low, "high": one.high}]
    counts = {f"until_{100 * limit:.0f}": value for limit, value in found.until.items()}
    counts |= {f"endurance_{kind}": value for kind, value in found.relative.items()}
    if found.collapse_point != EditsUntil():
        counts["collapse_point_nas"] = found.collapse_point
    for name, value in counts.items():
        ends = {"low": value.low, "high": value.high}
        rows.append({"quantity": name, "edits": value.edits, "beyond": value.censored_at, **ends})
    return rows


def _checkpoints(run: CheckedRun, found: Aggregates) -> Rows:
    costs: dict[int, Mapping[str, Any]] = {}
    for _, event in run.events:
        edits = whole(event.get("edits"))
        if event["event"] == "checkpoint" and edits is not None:
            costs[edits] = event
    rows: Rows = [
        {
            "edits": edits,
            "scored": True,
            "probes": len(tables["probes.parquet"]),
            "seconds_scoring": number(costs.get(edits, {}).get("seconds_scoring")),
            "seconds_abilities": number(costs.get(edits, {}).get("seconds_abilities")),
            "seconds_generation": number(costs.get(edits, {}).get("seconds_generation")),
        }
        for edits, tables in run.checkpoints.items()
    ]
    return rows + [{"edits": edits, "scored": False, "probes": 0} for edits in found.imputed]


def _metrics(found: Aggregates) -> Rows:
    return [
        {
            "edits": row.edits,
            "window": row.window,
            "metric": row.metric,
            "value": row.interval.value,
            "low": row.interval.low,
            "high": row.interval.high,
            "n": row.interval.n,
            "imputed": row.imputed,
        }
        for row in found.metrics
    ]


def _ability_scores(found: Aggregates) -> Rows:
    return [
        {
            "edits": row.edits,
            "ability": row.ability,
            "metric": row.metric,
            "chance": row.chance,
            "score": row.interval.value,
            "low": row.interval.low,
            "high": row.interval.high,
            "items": row.interval.n,
        }
        for row in found.abilities
    ]


def _batches(run: CheckedRun) -> dict[int, Mapping[str, Any]]:
    """Batch index → its event; a batch that was redone after a resumption counts once, as done last."""
    batches: dict[int, Mapping[str, Any]] = {}
    for _, event in run.events:
        index, edits = whole(event.get("index")), whole(event.get("edits"))
        if event["event"] == "batch" and index is not None and edits is not None and edits <= run.spec.schedule.edits:
            batches[index] = event
    return batches


def _timing(batch: int, event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "batch": batch,
        "edits": event["edits"],
        "seconds_edit": number(event.get("seconds_edit")),
        "peak_memory_mb": number(event.get("peak_memory_mb")),
    }


def _reports(batch: int, event: Mapping[str, Any]) -> Rows:
    report = event.get("report")
    if not isinstance(report, dict):
        return []
    return [
        {"batch": batch, "kind": kind, "name": name, "value": value}
        for kind in ("seconds", "counters", "values")
        for name, value in sorted(numbers(report.get(kind)).items())
    ]


def _segment(index: int, segment: Mapping[str, Any]) -> dict[str, Any]:
    packages = segment.get("packages")
    kept = {str(k): v for k, v in packages.items() if isinstance(v, str)} if isinstance(packages, dict) else {}
    row: dict[str, Any] = {
        "segment": index,
        "started_at": utc_time(segment.get("started_at")),
        "dirty": segment.get("dirty") is True,
        "cores": whole(segment.get("cores")),
        "threads": whole(segment.get("threads")),
        "memory_gb": number(segment.get("memory_gb")),
        "packages": json.dumps(clean_json(kept), sort_keys=True, ensure_ascii=False),
        "command": clean_optional(_command(segment.get("command")), 2000),
    }
    for name in ("palimpsest_version", "commit", "python", "platform", "cpu", "gpu"):
        value = segment.get(name)
        row[name] = clean_text(value, NAME_LENGTH) if isinstance(value, str) else None
    return row


def _command(value: object) -> str | None:
    if isinstance(value, list):
        return " ".join(str(part) for part in value[:200])
    return value if isinstance(value, str) else None


def _events(run: CheckedRun) -> Rows:
    """The journal without the batches, which `timings` and `batch_reports` have."""
    rows: Rows = []
    for line, event in run.events:
        if event["event"] == "batch" or len(rows) >= _MAX_EVENTS:
            continue
        text = _event_text(event)
        rows.append(
            {
                "line": line,
                "time": utc_time(event.get("time")),
                "event": clean_text(event["event"], NAME_LENGTH),
                "edits": whole(event.get("edits")),
                "text": clean_text(text, 1000),
            }
        )
    return rows


def _event_text(event: Mapping[str, Any]) -> str:
    """Text of an event: its message or reason, or what a run was prepared with."""
    said = next((event[key] for key in ("message", "reason") if isinstance(event.get(key), str)), "")
    if event["event"] != "prepared":
        return said
    words = [f"{key} {event[key]}" for key in ("device", "dtype", "engine", "revision") if event.get(key)]
    statistics = event.get("statistics")
    if isinstance(statistics, dict):
        tokens, name, digest = (statistics.get(key) for key in ("tokens", "name", "texts_hash"))
        words.append(f"key statistics from {tokens} tokens of {name} ({str(digest)[:12]})")
    return ", ".join(map(str, words))
