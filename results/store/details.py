"""All about one run: spec, environment, every checkpoint, costs, journal, and what the model said before and after."""

from __future__ import annotations

import json
from typing import Any

from palimpsest.harness.errors import unknown_name
from palimpsest.results.records import (
    AbilityRow,
    CheckpointRow,
    EventRow,
    Interval,
    MetricRow,
    RunDetail,
    SampleAnswer,
    Segment,
    TimingSummary,
)
from palimpsest.results.store.boards import board, curves, run_ids, track
from palimpsest.results.store.database import Store


def run_detail(store: Store, run_id: str) -> RunDetail:
    """Everything the store has on one run but its single outcomes.

    Raises:
        UsageError: the store has no such run.
    """
    found = store.rows("SELECT spec, track_id FROM runs WHERE run_id = ?", [run_id])
    if not found:
        raise unknown_name("Run", run_id, run_ids(store), "palimpsest list runs")
    spec, track_id = found[0]
    rows = board(store, track_id)
    names = _diagnostic_names(store, run_id)
    return RunDetail(
        spec=json.loads(spec),
        track=track(store, track_id, rows),
        row=next(row for row in rows if row.run_id == run_id),
        segments=_segments(store, run_id),
        checkpoints=tuple(
            CheckpointRow(*row)
            for row in store.rows(
                "SELECT edits, scored, probes, seconds_scoring, seconds_abilities, seconds_generation FROM checkpoints"
                " WHERE run_id = ? ORDER BY edits",
                [run_id],
            )
        ),
        metrics=tuple(
            MetricRow(edits, window, metric, Interval(*interval), imputed)
            for edits, window, metric, imputed, *interval in store.rows(
                'SELECT edits, "window", metric, imputed, value, low, high, n FROM metrics WHERE run_id = ?'
                ' ORDER BY edits, "window", metric',
                [run_id],
            )
        ),
        abilities=_abilities(store, run_id),
        diagnostics=tuple(curve for curve in curves(store, run_id) if curve.metric in names),
        timings=_timings(store, run_id),
        events=tuple(
            EventRow(*row)
            for row in store.rows(
                "SELECT time, event, edits, text FROM events WHERE run_id = ? ORDER BY line", [run_id]
            )
        ),
    )


def _diagnostic_names(store: Store, run_id: str) -> set[str]:
    sql = "SELECT DISTINCT name || coalesce(':' || layer, '') FROM diagnostics WHERE run_id = ?"
    return {row[0] for row in store.rows(sql, [run_id])}


def _segments(store: Store, run_id: str) -> tuple[Segment, ...]:
    rows = store.records(
        "SELECT * EXCLUDE (run_id) RENAME (segment AS index) FROM environment WHERE run_id = ? ORDER BY segment",
        [run_id],
    )
    return tuple(Segment(**row | {"packages": json.loads(row["packages"])}) for row in rows)


def _abilities(store: Store, run_id: str) -> tuple[AbilityRow, ...]:
    by_name: dict[str, dict[str, Any]] = {}
    for ability, metric, chance, items, edits, *interval in store.rows(
        "SELECT ability, metric, chance, items, edits, score, low, high, items FROM ability_scores WHERE run_id = ?"
        " ORDER BY ability, edits",
        [run_id],
    ):
        entry = by_name.setdefault(ability, {"metric": metric, "chance": chance, "items": items, "scores": {}})
        entry["scores"][edits] = Interval(*interval)
    return tuple(
        AbilityRow(ability=name, pristine=entry["scores"].get(0, Interval(None)).value, **entry)
        for name, entry in by_name.items()
    )


def _timings(store: Store, run_id: str) -> TimingSummary:
    batches, edits, seconds = store.rows(
        "SELECT count(*), coalesce(max(edits), 0), coalesce(sum(seconds_edit), 0) FROM timings WHERE run_id = ?",
        [run_id],
    )[0]
    scoring, abilities, texts = store.rows(
        "SELECT coalesce(sum(seconds_scoring), 0), coalesce(sum(seconds_abilities), 0),"
        " coalesce(sum(seconds_generation), 0) FROM checkpoints WHERE run_id = ?",
        [run_id],
    )[0]
    per_edit, memory = store.rows("SELECT seconds_per_edit, peak_memory_mb FROM runs WHERE run_id = ?", [run_id])[0]
    phases = store.rows(
        "SELECT name, sum(value) FROM batch_reports WHERE run_id = ? AND kind = 'seconds' GROUP BY name ORDER BY name",
        [run_id],
    )
    return TimingSummary(batches, edits, seconds, scoring, abilities, per_edit, memory, dict(phases), texts)


_ANSWERS = """
SELECT a.case_id, a.position, a.kind, a.index, a.prompt,
    coalesce(p.target_new, c.target_new), coalesce(p.target_true, c.target_true), a.edits, a.text
FROM answers a
LEFT JOIN probes p ON p.run_id = a.run_id AND p.case_id = a.case_id AND p.kind = a.kind AND p.index = a.index
JOIN cases c ON c.run_id = a.run_id AND c.position = a.position
WHERE a.run_id = ? ORDER BY a.position, a.case_id, a.kind = 'neighborhood', a.kind = 'paraphrase', a.index, a.edits
"""


def samples(store: Store, run_id: str) -> list[SampleAnswer]:
    """What the model went on to say to some prompts, before the edits and at each checkpoint, in edit order."""
    found: dict[tuple[int, str, int], dict[str, Any]] = {}
    for case_id, position, kind, index, prompt, new, true, edits, text in store.rows(_ANSWERS, [run_id]):
        entry = found.setdefault(
            (case_id, kind, index),
            {
                "case_id": case_id,
                "position": position,
                "kind": kind,
                "prompt": prompt,
                "target_new": new,
                "target_true": true,
                "before": None,
                "answers": {},
                "edited_from": position + 1,
            },
        )
        if edits:
            entry["answers"][edits] = text
        else:
            entry["before"] = text
    return [SampleAnswer(**entry) for entry in found.values()]
