"""Cases that the runs of a track edit: the same for all, or each seed's own."""

from __future__ import annotations

from palimpsest.results.store.database import Store


def tracks_of_own_cases(store: Store, track_id: str | None = None) -> set[str]:
    """Tracks whose seeds draw cases of their own; on others all runs edit the same, in whatever order.

    Args:
        store: an open store.
        track_id: the only one wanted; None: all.
    """
    found = store.rows(
        "SELECT track_id FROM cases JOIN runs USING (run_id) WHERE track_id = coalesce(?, track_id)"
        " GROUP BY track_id HAVING count(DISTINCT case_id) > max(edits_planned)",
        [track_id],
    )
    return {track for (track,) in found}
