"""All runs of an editor, for its page."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from palimpsest.harness.runs.reading import ENDED
from palimpsest.results.records import Interval, Standing
from palimpsest.results.store import standings
from palimpsest.results.store.database import Store


class EditorRun(NamedTuple):
    """One run in the list of all runs of an editor."""

    run_id: str
    row_id: str
    track_id: str
    model: str
    task: str
    task_form: str
    edits: int
    batch_size: int
    seed: int
    distribution: str
    version: str
    status: str
    edits_done: int
    date: str
    config: dict[str, Any]
    effective_edits: Interval
    score: float | None
    """The main score at the last checkpoint."""
    abilities_kept: float | None
    seconds_per_edit: float | None
    protocol: int
    verified: str | None = None
    """Day since which it counts as done again with the same numbers; None if it does not."""
    edit_order: str = "file order"
    standing: Standing | None = None
    """Place of its row on the track's board; None for a run that takes no part in it."""


def editor_runs(store: Store, editor: str) -> list[EditorRun]:
    """All runs of one editor: by model, task, length and version, newest first."""
    rows = store.rows(
        "SELECT run_id, row_id, track_id, model, task, task_form, edits_planned, batch_size, seed,"
        " distribution, version, status, edits_done, coalesce(finished_at, started_at, ''), spec->'$.editor.config',"
        " e.edits, e.low, e.high, m.score, a.kept, seconds_per_edit, protocol,"
        " verified, edit_order FROM shown_runs"
        " LEFT JOIN (FROM headlines WHERE quantity = 'effective_edits') e USING (run_id)"
        " LEFT JOIN (SELECT run_id, arg_max(value, edits) AS score FROM metrics WHERE \"window\" = 'all' AND metric IN"
        " ('score_argmax', 'score_token_accuracy') GROUP BY run_id) m USING (run_id)"
        " LEFT JOIN (SELECT run_id, arg_max(value, edits) AS kept FROM metrics WHERE metric = 'abilities_kept' GROUP BY"
        " run_id) a USING (run_id) WHERE editor = ?"
        " ORDER BY model, task, edits_planned, batch_size, track_id, finished_at DESC NULLS LAST, seed, run_id",
        [editor],
    )
    found = [_run(*row) for row in rows]
    places = standings.rows(store, sorted({run.track_id for run in found}))
    return [
        run._replace(standing=places.get((run.track_id, run.row_id))) if run.status in ENDED else run for run in found
    ]


def _run(*row: Any) -> EditorRun:
    config, edits = json.loads(row[14] or "{}"), Interval(*row[15:18])
    return EditorRun._make([*row[:14], config, edits, *row[18:], None])
