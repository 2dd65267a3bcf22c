"""Where the pages get their data: the store's queries, behind one small interface that tests can stand in for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from palimpsest.results.rows import BoardRow, Curve, RunDetail, SampleAnswer, Track

if TYPE_CHECKING:
    from palimpsest.results.store import Store


class Source(Protocol):
    """All that the site asks for."""

    def tracks(self) -> list[Track]:
        """Every track with at least one run."""
        ...

    def board(self, track_id: str) -> list[BoardRow]:
        """The rows of a track in the order of rank."""
        ...

    def curves(self, run_id: str) -> list[Curve]:
        """Every curve of a run."""
        ...

    def run_detail(self, run_id: str) -> RunDetail:
        """All about one run."""
        ...

    def samples(self, run_id: str) -> list[SampleAnswer]:
        """Sample prompts with the model's answers."""
        ...


class StoreSource:
    """The interface on top of an open store."""

    def __init__(self, store: Store) -> None:
        from palimpsest.results import queries

        self._store = store
        self._queries = queries

    def tracks(self) -> list[Track]:
        """Every track with at least one run."""
        return list(self._queries.tracks(self._store))

    def board(self, track_id: str) -> list[BoardRow]:
        """The rows of a track in the order of rank."""
        return list(self._queries.board(self._store, track_id))

    def curves(self, run_id: str) -> list[Curve]:
        """Every curve of a run."""
        return list(self._queries.curves(self._store, run_id))

    def run_detail(self, run_id: str) -> RunDetail:
        """All about one run."""
        return self._queries.run_detail(self._store, run_id)

    def samples(self, run_id: str) -> list[SampleAnswer]:
        """Sample prompts with the model's answers."""
        return list(self._queries.samples(self._store, run_id))
