"""Standings in the store: made with the runs, never older than these, and the same in every place that shows them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.ranking import mixed, protocol_1, recorded, told_apart
from palimpsest.results.records import ONE_ORDER, Standing
from palimpsest.results.store import boards, bulk, standings
from palimpsest.results.store.database import Store
from palimpsest.results.store.editor_runs import editor_runs
from palimpsest.results.store.ingest import ingest
from tests.labs.synthetic import SyntheticRun, write_run

SHORT = SyntheticRun(checkpoints=(0, 10, 20, 40), batch_size=10, neighborhood=2, order_seed="run")
GOOD = replace(SHORT, editor="alphaedit", half=900)
BAD = replace(SHORT, editor="memit", half=15)


def lines(store: Store) -> dict[str, Standing]:
    """Editor → the place of its only row."""
    (track,) = bulk.track_heads(store)
    found = standings.rows(store, [track.track_id])
    return {row.editor: found[row.track_id, row.row_id] for row in boards.board(store, track.track_id)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seeds of two editors, and their store."""
    folder = tmp_path_factory.mktemp("standings")
    for seed in range(3):
        write_run(folder / "runs", replace(GOOD, seed=seed))
        write_run(folder / "runs", replace(BAD, seed=seed))
    with Store.open(folder / "store.duckdb") as store:
        assert ingest(store, folder / "runs").problems == []
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Iterator[Store]:
    """A copy of the store, with the runs beside it."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    with Store.open(tmp_path / "store.duckdb") as store:
        yield store


def test_three_seeds_give_ranks_and_pairs_in_the_store_and_everywhere_the_same(store: Store) -> None:
    found = lines(store)
    assert [(name, one.courses, one.rank_low, one.rank_high) for name, one in found.items()] == [
        ("alphaedit", 3, 1, 1),
        ("memit", 3, 2, 2),
    ]
    (head,) = bulk.track_heads(store)
    track, rows = boards.track(store, head.track_id), boards.board(store, head.track_id)
    assert {row.standing for row in rows} == set(found.values())
    assert {run.standing for run in editor_runs(store, "memit")} == {found["memit"]}
    (pair,) = track.pairs
    assert pair.told_apart and pair.seeds == 3 and track.told_apart == 1 and track.resolution == pair.least
    tables = bulk.result_tables(store)
    assert [line["told_apart"] for line in tables["pairs"].to_pylist()] == [True]
    assert {line["rank_low"] for line in tables["standings"].to_pylist()} == {1, 2}
    lines_of_both = [line for name in ("pairs", "standings") for line in tables[name].to_pylist()]
    assert {line["protocol"] for line in lines_of_both} == {head.protocol}


def test_a_new_course_changes_the_lines_of_its_track(store: Store, tmp_path: Path) -> None:
    before = {head.run_id: head for head in bulk.run_heads(store)}
    write_run(tmp_path / "runs", replace(GOOD, seed=3))
    write_run(tmp_path / "runs", replace(BAD, seed=3, status="partial", stops_at=20))
    ingest(store, tmp_path / "runs")
    assert {name: one.courses for name, one in lines(store).items()} == {"alphaedit": 4, "memit": 3}
    assert len(store.rows("FROM pairs")) == 1
    after = [head for head in bulk.run_heads(store) if head.run_id in before]
    assert all(head.digest == before[head.run_id].digest for head in after), "their own pages stay"
    assert all(head.place != before[head.run_id].place for head in after), "those with the row's interval do not"


def test_an_ingest_that_was_killed_before_the_standings_is_made_good_by_the_next(store: Store, tmp_path: Path) -> None:
    before = lines(store)
    (head,) = bulk.track_heads(store)
    standings.forget_standings(store, [head.track_id])
    assert ingest(store, tmp_path / "runs").updated == []
    assert lines(store) == before


def test_the_benchmark_counts_the_pairs_of_a_recorded_board(store: Store, tmp_path: Path) -> None:
    store.close()
    ((name, table),) = recorded(tmp_path / "store.duckdb")
    assert name == "pocket-llama, pocket-counterfact, 40" and table.shape == (2, 3)
    assert told_apart(mixed(table)) == told_apart(protocol_1(table)) == 1


def test_ingesting_twice_keeps_every_line(store: Store, tmp_path: Path) -> None:
    before = store.rows("FROM standings ORDER BY ALL"), store.rows("FROM pairs ORDER BY ALL")
    ingest(store, tmp_path / "runs")
    assert (store.rows("FROM standings ORDER BY ALL"), store.rows("FROM pairs ORDER BY ALL")) == before


def test_where_all_seeds_ask_the_same_cases_their_variance_is_added(store: Store) -> None:
    """The synthetic runs edit all cases there are, each seed in its order: that they agree says little about others."""
    (head,) = bulk.track_heads(store)
    assert head.own_orders and not head.own_cases
    first = store.rows("SELECT low, high FROM headlines WHERE quantity = 'effective_edits'")
    one = lines(store)["alphaedit"].effective_edits
    assert one.low is not None and one.high is not None
    assert one.high - one.low > 0.8 * min(high - low for low, high in first)


@pytest.mark.parametrize("order_seed", [None, 7])
def test_seeds_that_edit_in_one_order_give_no_rank(tmp_path: Path, order_seed: int | None) -> None:
    for seed in range(3):
        for run in (GOOD, BAD):
            write_run(tmp_path / "runs", replace(run, seed=seed, order_seed=order_seed))
    with Store.open(tmp_path / "store.duckdb") as store:
        assert ingest(store, tmp_path / "runs").problems == []
        for one in lines(store).values():
            assert (one.courses, one.rank_low, one.rank_high, one.unranked) == (3, None, None, ONE_ORDER)
            assert not one.tells_of_courses and one.effective_edits.low is not None
        (head,) = bulk.track_heads(store)
        assert not head.own_orders and boards.track(store, head.track_id).pairs == ()


def test_a_track_of_one_checkpoint_has_courses_and_no_ranks(tmp_path: Path) -> None:
    for seed in range(3):
        for run in (GOOD, BAD):
            write_run(tmp_path / "runs", replace(run, seed=seed, checkpoints=(0, 40)))
    with Store.open(tmp_path / "store.duckdb") as store:
        assert ingest(store, tmp_path / "runs").problems == []
        found = lines(store)
        assert [(one.courses, one.rank_low, one.rank_high) for one in found.values()] == [(3, None, None)] * 2
        (head,) = bulk.track_heads(store)
        assert boards.track(store, head.track_id).pairs == ()
