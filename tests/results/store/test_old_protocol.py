"""Runs of protocol 1 in a store of protocol 2: scored by its rules without a model, on a track of their own, marked."""

from __future__ import annotations

from pathlib import Path

from palimpsest.harness.specs.run_spec import PROTOCOL, RunSpec
from palimpsest.results.store import boards, bulk
from palimpsest.results.store.database import Store
from palimpsest.results.store.ingest import ingest
from palimpsest.site.pages.track import order_tracks, track_title
from tests.labs.synthetic import SyntheticRun, write_run

NEW = SyntheticRun(half=60, checkpoints=(0, 10, 20, 40), batch_size=10, neighborhood=2)


class Old(SyntheticRun):
    """A run folder of protocol 1."""

    def spec(self) -> RunSpec:
        return super().spec().model_copy(update={"protocol": 1})


def test_stored_answers_of_an_old_run_are_scored_by_the_present_protocol(tmp_path: Path) -> None:
    old = Old(half=60, checkpoints=(0, 10, 20, 40), batch_size=10, neighborhood=2)
    ids = [write_run(tmp_path / "runs", run) for run in (old, NEW)]
    with Store.open(tmp_path / "store.duckdb") as store:
        assert ingest(store, tmp_path / "runs").problems == []
        tracks = order_tracks(bulk.track_heads(store))
        rows = {row.run_id: row for track in tracks for row in boards.board(store, track.track_id)}
        headlines = bulk.result_tables(store)["headlines"].to_pylist()
    assert [track.protocol for track in tracks] == [PROTOCOL, 1], "the newer track is first, and none holds both"
    assert [track_title(track).endswith(", old protocol 1") for track in tracks] == [False, True]
    assert rows[ids[0]].effective_edits == rows[ids[1]].effective_edits
    assert (rows[ids[0]].effective_edits.value or 0) > 10
    assert {row["protocol"] for row in headlines if row["run_id"] == ids[0]} == {1}, "marked in the downloads too"
