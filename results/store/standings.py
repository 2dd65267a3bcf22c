"""Standings in the store: one line per row of a track, and one per pair of rows with a rank.

A run that is brought in takes the lines of its track away, in the same transaction; `keep_standings` then makes them of
all tracks that have none. So they are never older than the runs, also where an ingest was killed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from palimpsest.harness.runs.reading import ENDED
from palimpsest.results.analysis.ranking import CourseResult, standings
from palimpsest.results.records import ONE_CHECKPOINT, ONE_ORDER, Interval, Pair, Standing
from palimpsest.results.store.database import Store
from palimpsest.results.store.track_cases import tracks_of_own_cases

_COURSES = """
SELECT row_id, run_id, seed, h.edits, h.low, h.high, edits_planned
FROM shown_runs JOIN headlines h USING (run_id)
WHERE track_id = ? AND h.quantity = 'effective_edits' AND h.edits IS NOT NULL AND status IN (SELECT unnest(?))
ORDER BY run_id
"""

_UNRANKED = {
    ONE_ORDER: "coalesce(spec->>'$.schedule.order_seed', '') != 'run'",
    ONE_CHECKPOINT: "len(list_filter(CAST(spec->'$.schedule.checkpoints' AS BIGINT[]), lambda edits: edits > 0)) < 2",
}
"""Reason why no row of a track has a rank → the runs of such tracks; the last one that holds is told.

At one checkpoint h is known at one number of edits, so that effective edits are the area under a guess.
"""


def forget_standings(store: Store, track_ids: Iterable[str]) -> None:
    """Take the lines of some tracks away; `keep_standings` makes them again."""
    for track_id in track_ids:
        for table in ("standings", "pairs"):
            store.rows(f"DELETE FROM {table} WHERE track_id = ?", [track_id])


def keep_standings(store: Store) -> None:
    """Make the lines of all tracks that have none, in one transaction."""
    missing = store.rows("SELECT DISTINCT track_id FROM runs WHERE track_id NOT IN (SELECT track_id FROM standings)")
    with store.transaction():
        for (track_id,) in sorted(missing):
            _keep(store, track_id)


def rows(store: Store, track_ids: Sequence[str]) -> dict[tuple[str, str], Standing]:
    """Track id and row id → place, of some tracks; without ranks on a track of one checkpoint or one order."""
    found = store.rows(
        "SELECT track_id, row_id, courses, rank_low, rank_high, wide, effective_edits, low, high FROM standings"
        " WHERE track_id IN (SELECT unnest(?))",
        [list(track_ids)],
    )
    unranked = {track_id: reason for reason in _UNRANKED for track_id in _unranked(store, track_ids, reason)}
    places = {
        (track_id, row_id): Standing(courses, Interval(*edits), rank_low, rank_high, wide)
        for track_id, row_id, courses, rank_low, rank_high, wide, *edits in found
    }
    return {
        (track_id, row_id): replace(place, rank_low=None, rank_high=None, unranked=unranked[track_id])
        if track_id in unranked
        else place
        for (track_id, row_id), place in places.items()
    }


def pairs(store: Store, track_id: str) -> tuple[Pair, ...]:
    """Every pair of rows of a track that have a rank; none on a track of one checkpoint."""
    if _unranked(store, [track_id], ONE_CHECKPOINT):
        return ()
    columns = ", ".join(Pair._fields)
    sql = f"SELECT {columns} FROM pairs WHERE track_id = ? ORDER BY above, below"
    return tuple(Pair(*row) for row in store.rows(sql, [track_id]))


def _unranked(store: Store, track_ids: Sequence[str], reason: str) -> set[str]:
    """Tracks among some that can have no ranks for this reason."""
    found = store.rows(
        f"SELECT DISTINCT track_id FROM runs WHERE track_id IN (SELECT unnest(?)) AND {_UNRANKED[reason]}",
        [list(track_ids)],
    )
    return {track_id for (track_id,) in found}


def _keep(store: Store, track_id: str) -> None:
    courses = [
        CourseResult(row_id, run_id, seed, Interval(*interval), planned)
        for row_id, run_id, seed, *interval, planned in store.rows(_COURSES, [track_id, list(ENDED)])
    ]
    same_cases = track_id not in tracks_of_own_cases(store, track_id)
    one_order = bool(_unranked(store, [track_id], ONE_ORDER))
    found = standings(courses, _draws(store, track_id), same_cases=same_cases, one_order=one_order)
    store.insert("standings", [_line(track_id, row_id, one) for row_id, one in found.rows.items()])
    lines = [pair._asdict() | {"track_id": track_id, "told_apart": pair.told_apart} for pair in found.pairs]
    store.insert("pairs", lines)


def _line(track_id: str, row_id: str, one: Standing) -> dict[str, object]:
    edits = one.effective_edits
    return {
        "track_id": track_id,
        "row_id": row_id,
        "courses": one.courses,
        "effective_edits": edits.value,
        "low": edits.low,
        "high": edits.high,
        "rank_low": one.rank_low,
        "rank_high": one.rank_high,
        "wide": one.wide,
    }


def _draws(store: Store, track_id: str) -> dict[str, NDArray[np.float64]]:
    """Resampled effective edits of the runs of a track."""
    rows = store.rows("SELECT run_id, draws FROM rank_draws JOIN runs USING (run_id) WHERE track_id = ?", [track_id])
    return {run_id: np.asarray(draws, dtype=np.float64) for run_id, draws in rows}
