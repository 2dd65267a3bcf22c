"""Questions about tracks: which there are, their boards, the record of submissions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from palimpsest.harness.errors import unknown_name
from palimpsest.results.analysis.abilities import ABILITIES_KEPT
from palimpsest.results.analysis.ranking import has_ended, in_order
from palimpsest.results.records import (
    BoardRow,
    EditsUntil,
    Interval,
    LedgerRow,
    Track,
)
from palimpsest.results.store import standings
from palimpsest.results.store.bulk import track_heads
from palimpsest.results.store.database import Store

_BOARD = """
SELECT r.*, s.segments, s.dirty
FROM shown_runs r LEFT JOIN (
    SELECT run_id, count(*) AS segments, bool_or(dirty) AS dirty FROM environment GROUP BY run_id
) s USING (run_id)
WHERE r.track_id = ? ORDER BY r.run_id
"""
_SAME = (
    *("run_id", "track_id", "editor", "distribution", "version", "seed", "status", "edits_done", "edits_planned"),
    *("seconds_per_edit", "peak_memory_mb", "started_at", "finished_at", "reason", "submitted", "verified", "row_id"),
)
"""Fields of a board row that are columns of the view ``shown_runs``."""


def ledger(store: Store) -> list[LedgerRow]:
    """The record of submissions, in the order of time."""
    columns = "time, action, run, editor, reason, replaces, verdict"
    return [LedgerRow(*row) for row in store.rows(f"SELECT {columns} FROM ledger ORDER BY line")]


def track(store: Store, track_id: str) -> Track:
    """One track with the pairs of its rows.

    Raises:
        UsageError: the store has none of this id; names the near ones.
    """
    heads = track_heads(store, track_id)
    if not heads:
        known = [row[0] for row in store.rows("SELECT DISTINCT track_id FROM runs")]
        raise unknown_name("Track", track_id, known, "palimpsest store query 'FROM runs'")
    return replace(heads[0], pairs=standings.pairs(store, track_id))


def board(store: Store, track_id: str) -> list[BoardRow]:
    """The runs of one track with the places of their rows, best first; see `ranking`."""
    places = standings.rows(store, [track_id])
    rows = _board_rows(store, track_id)
    return in_order(
        replace(row, standing=places.get((track_id, row.row_id))) if has_ended(row) else row for row in rows
    )


def _board_rows(store: Store, track_id: str) -> list[BoardRow]:
    metrics: dict[str, dict[int, dict[str, Interval]]] = {}
    for run_id, edits, name, *interval in store.rows(
        "SELECT run_id, edits, metric, value, low, high, n FROM metrics JOIN runs USING (run_id) WHERE track_id = ? AND"
        " \"window\" IN ('all', '') AND edits > 0 ORDER BY ALL",
        [track_id],
    ):
        metrics.setdefault(run_id, {}).setdefault(edits, {})[name] = Interval(*interval)
    headlines: dict[str, dict[str, EditsUntil]] = {}
    for run_id, quantity, *value in store.rows(
        "SELECT run_id, quantity, h.edits, beyond, low, high FROM headlines h JOIN runs USING (run_id)"
        " WHERE track_id = ?",
        [track_id],
    ):
        headlines.setdefault(run_id, {})[quantity] = EditsUntil(*value)
    return [
        _board_row(row, metrics.get(row["run_id"], {}), headlines.get(row["run_id"], {}))
        for row in store.records(_BOARD, [track_id])
    ]


def _board_row(
    row: dict[str, Any], metrics: dict[int, dict[str, Interval]], headlines: dict[str, EditsUntil]
) -> BoardRow:
    last = max(metrics, default=None)
    final = dict(metrics[last]) if last is not None else {}
    kept = final.pop(ABILITIES_KEPT, Interval(None))
    nothing = EditsUntil()
    held = headlines.get("effective_edits", nothing)
    return BoardRow(
        standing=None,
        effective_edits=Interval(held.edits, held.low, held.high),
        until_80=headlines.get("until_80", nothing),
        until_50=headlines.get("until_50", nothing),
        relative={kind: headlines.get(f"endurance_{kind}", nothing) for kind in ("editing", "abilities")},
        collapse_point=headlines.get("collapse_point_nas", nothing),
        metrics_at=last,
        metrics=final,
        abilities_kept=kept,
        dirty=bool(row["dirty"]),
        segments=row["segments"] or 1,
        **{name: row[name] for name in _SAME},
    )
