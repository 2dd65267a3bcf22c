"""What is asked of the store about tracks: which there are, their boards, the curves of their runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palimpsest.harness.errors import unknown_name
from palimpsest.harness.metrics.endurance import ENDURANCE_SHARE, HALF_LIFE_SHARE
from palimpsest.harness.metrics.probes import main_score
from palimpsest.harness.specs.windows import WINDOWS
from palimpsest.results.analysis.abilities import ABILITIES_KEPT
from palimpsest.results.analysis.ranking import ranked_rows, resolution
from palimpsest.results.reading.text_files import asked_beyond
from palimpsest.results.records import (
    BoardRow,
    Curve,
    CurvePoint,
    EnduranceValue,
    Interval,
    LedgerRow,
    StoreInfo,
    Track,
)
from palimpsest.results.store.database import Store
from palimpsest.results.store.migrations import MIGRATIONS

_BOARD = """
SELECT r.*, s.segments, s.dirty, l.submitted, l.verified
FROM runs r LEFT JOIN (
    SELECT run_id, count(*) AS segments, bool_or(dirty) AS dirty FROM environment GROUP BY run_id
) s USING (run_id) LEFT JOIN (
    SELECT run AS run_id, bool_or(action IN ('include', 'replace')) AS submitted,
        max(time[:10]) FILTER (verdict IN ('bits', 'tolerance')) AS verified
    FROM ledger GROUP BY run
) l USING (run_id)
WHERE r.track_id = ? ORDER BY r.run_id
"""
_SAME = (
    *("run_id", "track_id", "editor", "distribution", "version", "seed", "status", "edits_done", "edits_planned"),
    *("seconds_per_edit", "peak_memory_mb", "started_at", "finished_at", "reason"),
)
"""Fields of a board row that are columns of the table ``runs``."""
_WINDOW_ORDER: dict[str, int] = {name: place for place, name in enumerate(WINDOWS)}


def store_info(store: Store) -> StoreInfo:
    """How much is in the store, and how new it is."""
    row = store.rows(
        "SELECT count(*), count(DISTINCT track_id), max(greatest(coalesce(finished_at, ''), coalesce(started_at, '')))"
        " FROM runs"
    )[0]
    return StoreInfo(schema_version=len(MIGRATIONS), runs=row[0], tracks=row[1], latest=row[2] or None)


def ledger(store: Store) -> list[LedgerRow]:
    """The record of submissions, in the order of time."""
    columns = "time, action, run, editor, reason, replaces, verdict"
    return [LedgerRow(*row) for row in store.rows(f"SELECT {columns} FROM ledger ORDER BY line")]


def run_ids(store: Store) -> list[str]:
    """All run ids, ascending."""
    return [row[0] for row in store.rows("SELECT run_id FROM runs ORDER BY run_id")]


def tracks(store: Store) -> list[Track]:
    """All tracks, by model, task and length."""
    rows = store.records("SELECT DISTINCT ON (track_id) * FROM runs ORDER BY track_id, run_id")
    found = [_track(store, row, _board_rows(store, row["track_id"])) for row in rows]
    return sorted(found, key=lambda t: (t.model, t.task, t.edits, t.batch_size, t.track_id))


def track(store: Store, track_id: str, rows: Sequence[BoardRow] | None = None) -> Track:
    """One track; give its `board` as ``rows`` if you have it already.

    Raises:
        UsageError: the store has none of this id.
    """
    found = store.records("SELECT * FROM runs WHERE track_id = ? ORDER BY run_id LIMIT 1", [track_id])
    if not found:
        known = [row[0] for row in store.rows("SELECT DISTINCT track_id FROM runs")]
        raise unknown_name("Track", track_id, known, "palimpsest store query 'FROM runs'")
    return _track(store, found[0], _board_rows(store, track_id) if rows is None else rows)


def _track(store: Store, row: dict[str, Any], rows: Sequence[BoardRow]) -> Track:
    return Track(
        track_id=row["track_id"],
        model=row["model"],
        model_fingerprint=row["model_fingerprint"],
        task=row["task"],
        task_form=row["task_form"],
        edits=row["edits_planned"],
        batch_size=row["batch_size"],
        checkpoints=tuple(row["checkpoints"]),
        edit_order=row["edit_order"],
        protocol=row["protocol"],
        sample=row["sample"],
        abilities=tuple(row["abilities"]),
        runs=len(rows),
        task_hash=row["task_hash"],
        **asked_beyond(row["spec"]),
        main_metric=main_score(row["task_form"]),
        resolution=resolution(rows, row["task_form"], rank_draws(store, row["track_id"])),
    )


def board(store: Store, track_id: str) -> list[BoardRow]:
    """The runs of one track with rank intervals, best first; see `ranking`."""
    rows = _board_rows(store, track_id)
    form = store.rows("SELECT any_value(task_form) FROM runs WHERE track_id = ?", [track_id])[0][0]
    return ranked_rows(rows, form, rank_draws(store, track_id)) if rows else []


def rank_draws(store: Store, track_id: str) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Resampled endurance and final score of the runs of a track, as `ranking` wants them."""
    rows = store.rows(
        "SELECT run_id, quantity, draws FROM rank_draws JOIN runs USING (run_id) WHERE track_id = ?", [track_id]
    )
    return {(run_id, quantity): np.asarray(draws, dtype=np.float64) for run_id, quantity, draws in rows}


def _board_rows(store: Store, track_id: str) -> list[BoardRow]:
    metrics: dict[str, dict[int, dict[str, Interval]]] = {}
    for run_id, edits, name, *interval in store.rows(
        "SELECT run_id, edits, metric, value, low, high, n FROM metrics JOIN runs USING (run_id) WHERE track_id = ? AND"
        " \"window\" IN ('all', '') AND edits > 0 ORDER BY ALL",
        [track_id],
    ):
        metrics.setdefault(run_id, {}).setdefault(edits, {})[name] = Interval(*interval)
    endurance: dict[str, dict[tuple[str, float], EnduranceValue]] = {}
    for run_id, kind, share, *value in store.rows(
        "SELECT run_id, kind, share, e.edits, censored_at, low, high FROM endurance e JOIN runs USING (run_id)"
        " WHERE track_id = ?",
        [track_id],
    ):
        endurance.setdefault(run_id, {})[kind, share] = EnduranceValue(*value)
    return [
        _board_row(row, metrics.get(row["run_id"], {}), endurance.get(row["run_id"], {}))
        for row in store.records(_BOARD, [track_id])
    ]


def _board_row(
    row: dict[str, Any],
    metrics: dict[int, dict[str, Interval]],
    endurance: dict[tuple[str, float], EnduranceValue],
) -> BoardRow:
    last = max(metrics, default=None)
    final = dict(metrics[last]) if last is not None else {}
    kept = final.pop(ABILITIES_KEPT, Interval(None))
    nothing = EnduranceValue()
    values: dict[str, Any] = {
        f"{name}{suffix}": endurance.get((kind, share), nothing)
        for name, share in (("endurance", ENDURANCE_SHARE), ("half_life", HALF_LIFE_SHARE))
        for suffix, kind in (("", "both"), ("_editing", "editing"), ("_abilities", "abilities"))
    }
    return BoardRow(
        rank_low=None,
        rank_high=None,
        metrics_at=last,
        metrics=final,
        abilities_kept=kept,
        dirty=bool(row["dirty"]),
        segments=row["segments"] or 1,
        submitted=bool(row["submitted"]),
        verified=row["verified"],
        row_id=row["row_id"] or row["run_id"],
        **{name: row[name] for name in _SAME},
        **values,
    )


def curves(store: Store, run_id: str) -> list[Curve]:
    """All curves of one run: metrics by window, abilities kept, each ability, diagnostics by layer, seconds per edit.

    Metrics of the windows come first, in the order of `harness.specs.windows.WINDOWS`, then what has no window.
    """
    names = store.rows("SELECT editor, seed FROM runs WHERE run_id = ?", [run_id])
    if not names:
        return []
    editor, seed = names[0]
    points: dict[tuple[str, str], list[CurvePoint]] = {}
    for sql in (_METRIC_POINTS, _ABILITY_POINTS, _DIAGNOSTIC_POINTS, _TIMING_POINTS):
        for metric, window, edits, value, low, high, imputed in store.rows(sql, [run_id]):
            points.setdefault((metric, window), []).append(CurvePoint(edits, value, low, high, imputed))
    order = sorted(points, key=lambda key: _WINDOW_ORDER.get(key[1], len(_WINDOW_ORDER)))
    return [Curve(run_id, editor, metric, window, tuple(points[metric, window]), seed) for metric, window in order]


_METRIC_POINTS = """
SELECT metric, "window", edits, value, low, high, imputed FROM metrics WHERE run_id = ? ORDER BY metric, "window", edits
"""
_ABILITY_POINTS = """
SELECT 'ability:' || ability, '', edits, score, low, high, false FROM ability_scores WHERE run_id = ?
ORDER BY ability, edits
"""
_DIAGNOSTIC_POINTS = """
SELECT name || coalesce(':' || layer, ''), '', edits, CASE WHEN isfinite(value) THEN value END, NULL, NULL, false
FROM diagnostics WHERE run_id = ? ORDER BY name, layer, edits
"""
_TIMING_POINTS = """
SELECT 'seconds_per_edit', '', edits, seconds_edit / nullif(edits - lag(edits, 1, 0) OVER (ORDER BY batch), 0),
    NULL, NULL, false
FROM timings WHERE run_id = ? ORDER BY batch
"""


def track_curves(store: Store, track_id: str, metrics: Sequence[str], window: str = "all") -> list[Curve]:
    """The curves of all runs of a track for some ``metrics``, in board order.

    Args:
        store: an open store.
        track_id: which track.
        metrics: names as in `curves`; those without a window (abilities kept, one ability, …) are found too.
        window: of the metrics that have one.
    """
    wanted = set(metrics)
    return [
        curve
        for row in board(store, track_id)
        for curve in curves(store, row.run_id)
        if curve.metric in wanted and curve.window in (window, "")
    ]
