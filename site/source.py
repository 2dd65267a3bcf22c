"""The source of the pages' data: the store's queries, behind one small interface that tests can stand in for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from palimpsest.results.analysis.claims import Outcome, outcomes
from palimpsest.results.records import (
    BoardRow,
    EventRow,
    LedgerRow,
    SampleAnswer,
    Segment,
    Standing,
    TimingSummary,
    Track,
)
from palimpsest.results.store.bulk import Course, RunHead, Series, Text
from palimpsest.results.store.claim_record import ClaimRecord
from palimpsest.results.store.claim_values import measured
from palimpsest.results.store.editor_runs import EditorRun

if TYPE_CHECKING:
    import pyarrow as pa

    from palimpsest.results.store.database import Store


class RunParts(NamedTuple):
    """All about one run but its curves, its cases and its place on the board."""

    spec: dict[str, Any]
    segments: list[Segment]
    timings: TimingSummary
    events: list[EventRow]
    samples: list[SampleAnswer]
    scored: list[int]
    """Checkpoints in the order of the blocks of its courses."""
    courses: list[Course]
    ability_courses: list[tuple[str, float, int, str]]
    diagnostics: list[Series]


class Source(Protocol):
    """All that the site asks for."""

    def heads(self) -> list[RunHead]:
        """Every run, by id: where it belongs and whether it changed."""
        ...

    def tracks(self) -> list[Track]:
        """Every track with at least one run; without its pairs."""
        ...

    def track(self, track_id: str) -> tuple[Track, list[BoardRow]]:
        """A track and its runs in the order of rank."""
        ...

    def standings(self) -> dict[tuple[str, str], Standing]:
        """Track id and row id → place, for every row of which some run ended by itself."""
        ...

    def table_series(self, track_id: str) -> dict[str, list[Series]]:
        """Series that a track's table shows, for all of its runs."""
        ...

    def editor_runs(self, editor: str) -> list[EditorRun]:
        """All runs of an editor."""
        ...

    def series(self, run_ids: Sequence[str]) -> dict[str, list[Series]]:
        """Scores, abilities and seconds of some runs."""
        ...

    def diagnostics(self, run_ids: Sequence[str]) -> dict[str, list[Series]]:
        """Diagnostics of some runs."""
        ...

    def parts(self, run_ids: Sequence[str]) -> dict[str, RunParts]:
        """Everything else about some runs."""
        ...

    def texts(self, run_id: str) -> list[Text]:
        """Texts that a run edits and asks."""
        ...

    def outcomes(self, run_id: str) -> pa.Table:
        """Outcomes of every probe of a run, for downloading."""
        ...

    def tables(self) -> dict[str, pa.Table]:
        """The store's tables of results, for downloading; none where there is no store."""
        ...

    def ledger(self) -> list[LedgerRow]:
        """The record of submissions, in the order of time."""
        ...

    def claims(self, record: ClaimRecord) -> list[Outcome]:
        """Each claim of a record with all that the runs say about it."""
        ...


class StoreSource:
    """The interface on top of an open store."""

    def __init__(self, store: Store) -> None:
        from palimpsest.results.store import boards, bulk, editor_runs, outcomes, standings

        self._store = store
        self._boards = boards
        self._bulk = bulk
        self._editor_runs = editor_runs.editor_runs
        self._outcomes = outcomes.outcomes
        self._standings = standings.rows

    def heads(self) -> list[RunHead]:
        """Every run, by id: where it belongs and whether it changed."""
        return self._bulk.run_heads(self._store)

    def tracks(self) -> list[Track]:
        """Every track with at least one run; without its pairs."""
        return self._bulk.track_heads(self._store)

    def standings(self) -> dict[tuple[str, str], Standing]:
        """Track id and row id → place, for every row of which some run ended by itself."""
        return self._standings(self._store, [track.track_id for track in self.tracks()])

    def table_series(self, track_id: str) -> dict[str, list[Series]]:
        """Series that a track's table shows, for all of its runs."""
        return self._bulk.table_series(self._store, track_id)

    def editor_runs(self, editor: str) -> list[EditorRun]:
        """All runs of an editor."""
        return self._editor_runs(self._store, editor)

    def track(self, track_id: str) -> tuple[Track, list[BoardRow]]:
        """A track and its runs in the order of rank."""
        return self._boards.track(self._store, track_id), self._boards.board(self._store, track_id)

    def series(self, run_ids: Sequence[str]) -> dict[str, list[Series]]:
        """Scores, abilities and seconds of some runs."""
        return self._bulk.series(self._store, run_ids)

    def diagnostics(self, run_ids: Sequence[str]) -> dict[str, list[Series]]:
        """Diagnostics of some runs."""
        return self._bulk.diagnostic_series(self._store, run_ids)

    def parts(self, run_ids: Sequence[str]) -> dict[str, RunParts]:
        """Everything else about some runs."""
        ask, store = self._bulk, self._store
        found = [
            question(store, run_ids)
            for question in (ask.specs, ask.segments, ask.timings, ask.events, ask.samples, ask.scored_checkpoints,
                             ask.courses, ask.ability_courses, ask.diagnostic_series)
        ]  # fmt: skip
        return {run_id: RunParts(*(answers[run_id] for answers in found)) for run_id in run_ids}

    def texts(self, run_id: str) -> list[Text]:
        """Texts that a run edits and asks."""
        return self._bulk.texts(self._store, run_id)

    def outcomes(self, run_id: str) -> pa.Table:
        """Outcomes of every probe of a run, for downloading."""
        return self._outcomes(self._store, run_id)

    def tables(self) -> dict[str, pa.Table]:
        """The store's tables of results, for downloading."""
        return self._bulk.result_tables(self._store)

    def ledger(self) -> list[LedgerRow]:
        """The record of submissions, in the order of time."""
        return self._boards.ledger(self._store)

    def claims(self, record: ClaimRecord) -> list[Outcome]:
        """Each claim of a record with all that the runs say about it."""
        runs = record.measured | measured(self._store, record.run_ids)
        return outcomes(record.claims, record.by_row, runs)
