"""Choice of a track of the store, and its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from palimpsest.harness.errors import UsageError, unknown_name
from palimpsest.results.records import Track
from palimpsest.results.store import boards, bulk
from palimpsest.results.store.database import Store
from palimpsest.site.parts.table import TableRow, table_rows
from palimpsest.site.words.looks import editor_looks

TrackArgument = Annotated[
    str | None,
    typer.Argument(
        help="A track's id, or the beginning of it; not needed where the store has one track.", metavar="TRACK"
    ),
]


@dataclass(frozen=True, slots=True)
class ChosenTrack:
    """A track with its rows."""

    track: Track
    rows: tuple[TableRow, ...]
    """Best first."""

    def checkpoint(self, at: int | None) -> int:
        """The checkpoint that scores are taken from.

        Args:
            at: The one wanted; None: the last.

        Raises:
            UsageError: The track has no such checkpoint.
        """
        scored = [edits for edits in self.track.checkpoints if edits > 0]
        if at is not None and at not in scored:
            raise UsageError(f"--at {at}: the track has checkpoints at {', '.join(map(str, scored))} edits.")
        return scored[-1] if at is None else at


def chosen_track(store: Store, wanted: str | None, verb: str) -> ChosenTrack:
    """The track that is meant, some of whose rows ended by themselves.

    Args:
        store: An open store.
        wanted: Its id or the beginning of it; None: the only one there is.
        verb: Command that asks, for messages.

    Raises:
        UsageError: There is none, several fit, or no run of it has ended.
    """
    track_id = _id(bulk.track_heads(store), wanted, verb)
    track = boards.track(store, track_id)
    looks = editor_looks(head.editor for head in bulk.run_heads(store))  # as the site has them
    rows = table_rows(track, boards.board(store, track_id), bulk.table_series(store, track_id), looks)
    if all(row.standing is None for row in rows):
        raise UsageError(f"No run of track {track_id} has ended by itself yet, so there is nothing to compare.")
    return ChosenTrack(track, rows)


def _id(tracks: list[Track], wanted: str | None, verb: str) -> str:
    fitting = [track for track in tracks if track.track_id.startswith(wanted or "")]
    if len(fitting) == 1:
        return fitting[0].track_id
    if not tracks:
        raise UsageError("The store has no runs yet. Make some, then: palimpsest store ingest")
    if not fitting:
        raise unknown_name("Track", wanted or "", [t.track_id for t in tracks], f"palimpsest {verb}")
    listed = "\n".join(
        f"  {t.track_id}  {t.model}, {t.task}, {t.edits} edits in batches of {t.batch_size}, {t.runs} runs"
        for t in fitting
    )
    raise UsageError(f"Several tracks fit. Name one of them: palimpsest {verb} TRACK\n{listed}")
