from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from palimpsest.harness.errors import StoreError
from palimpsest.results.reading.run_folder import read_run_folder
from palimpsest.results.store.database import Store
from palimpsest.results.store.ingest import IngestReport, ingest, rebuild
from palimpsest.results.store.run_rows import RUN_TABLES
from tests.labs.synthetic import HOSTILE, SyntheticRun, finish, write_manifest, write_run
from tests.results.conftest import SMALL, small_runs


def bring(path: Path, runs: Path) -> IngestReport:
    with Store.open(path) as store:
        return ingest(store, runs)


def content(path: Path) -> dict[str, pa.Table]:
    """Every table, in an order that depends on the content alone."""
    with Store.open(path, read_only=True) as store:
        return {table: store.arrow(f'SELECT * FROM "{table}" ORDER BY ALL') for table in RUN_TABLES}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "palimpsest.duckdb"


def test_ingesting_twice_changes_nothing(path: Path, runs: Path) -> None:
    first = bring(path, runs)
    assert len(first.added) == 3 and not first.problems
    once = content(path)
    second = bring(path, runs)
    assert second.unchanged == first.added and not second.added and not second.updated
    assert content(path) == once


def test_rebuild_equals_incremental_ingest(path: Path, tmp_path: Path) -> None:
    """Runs come one by one, one of them in two halves, and another order: the store is the same."""
    runs = tmp_path / "growing"
    memit, partial, collapsed = small_runs()
    for run in (collapsed, partial, memit):
        write_run(runs, run)
        bring(path, runs)
    done = finish(runs, partial)
    assert bring(path, runs).updated == [done.spec().id]
    grown = content(path)
    report = rebuild(path, runs)
    assert len(report.added) == 3
    assert content(path) == grown
    assert not list(tmp_path.glob("*.wal")) and not list(tmp_path.glob(".*rebuild*"))


def test_finished_run_replaces_its_partial_self(path: Path, runs: Path) -> None:
    bring(path, runs)
    partial = small_runs()[1]
    done = finish(runs, partial)
    report = bring(path, runs)
    assert report.updated == [done.spec().id] and len(report.unchanged) == 2
    with Store.open(path, read_only=True) as store:
        assert store.rows("SELECT status, edits_done FROM runs WHERE run_id = ?", [done.spec().id]) == [
            ("complete", 40)
        ]
        assert store.rows(
            "SELECT edits, count(*) FROM case_scores WHERE run_id = ? GROUP BY edits ORDER BY edits", [done.spec().id]
        ) == [(0, 200), (10, 50), (20, 100), (40, 200)]


def test_update_that_fails_midway_keeps_the_old_run(path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(path, runs)
    done = finish(runs, small_runs()[1])
    insert = Store.insert

    def breaks(self: Store, table: str, rows: Any) -> None:
        if table == "metrics":
            raise duckdb.IOException("Could not write file: No space left on device")
        insert(self, table, rows)

    monkeypatch.setattr(Store, "insert", breaks)
    with pytest.raises(StoreError, match="No space left on device.*Nothing of it was kept"):
        bring(path, runs)
    monkeypatch.undo()
    with Store.open(path, read_only=True) as store:
        assert store.rows("SELECT status FROM runs WHERE run_id = ?", [done.spec().id]) == [("partial",)]
        assert store.rows("SELECT count(*) FROM metrics WHERE run_id = ?", [done.spec().id])[0][0] > 0
    assert bring(path, runs).updated == [done.spec().id]


def test_vanished_run_stays_until_rebuild(path: Path, runs: Path) -> None:
    gone = bring(path, runs).added[0]
    shutil.rmtree(runs / gone)
    assert bring(path, runs).orphaned == [gone]
    assert len(rebuild(path, runs).added) == 2
    assert bring(path, runs).orphaned == []


def test_no_runs_folder_is_an_empty_store(path: Path, tmp_path: Path) -> None:
    assert bring(path, tmp_path / "nowhere") == IngestReport()


def test_failed_rebuild_leaves_the_old_store(path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(path, runs)
    before = path.read_bytes()
    monkeypatch.setattr("palimpsest.results.store.ingest.ingest", lambda *_: (_ for _ in ()).throw(StoreError("full")))
    with pytest.raises(StoreError):
        rebuild(path, runs)
    assert path.read_bytes() == before and not list(path.parent.glob(".*rebuild*"))


# ------------------------------------------------------------------------------------------- damage and malice

CHECKPOINT = "scores/000020"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x40
    path.write_bytes(bytes(data))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
@pytest.mark.parametrize(
    "name", ["probes.parquet", "answers.parquet", "abilities.parquet", "diagnostics.parquet", "manifest.json"]
)
def test_damaged_checkpoint_is_left_out_and_named(
    name: str, damage: Callable[[Path], None], path: Path, lone: Path
) -> None:
    victim = lone / CHECKPOINT
    damage(victim / name)
    report = bring(path, lone.parent)
    assert len(report.added) == 1
    (problem,) = report.problems
    assert problem.path == str(victim) and "left out" in problem.message
    assert name.split(".")[0] in problem.message or "manifest" in problem.message
    with Store.open(path, read_only=True) as store:
        row = store.rows("SELECT status, reason FROM runs WHERE editor = 'memit'")[0]
        assert row[0] == "partial" and "20 edits are missing or damaged" in row[1]


@pytest.mark.parametrize("damage", [truncate, Path.unlink])
@pytest.mark.parametrize("name", ["spec.json", "cases.parquet", "probes.parquet"])
def test_run_that_cannot_be_understood_is_left_out(
    name: str, damage: Callable[[Path], None], path: Path, runs: Path
) -> None:
    victim = runs / small_runs()[0].spec().id
    damage(victim / name)
    report = bring(path, runs)
    assert len(report.added) == 2
    (problem,) = report.problems
    assert problem.path == str(victim) and name in problem.message


@pytest.mark.parametrize("name", ["environment.json", "events.jsonl", "result.json"])
def test_lesser_damage_keeps_the_scores(name: str, path: Path, lone: Path) -> None:
    victim = lone / name
    victim.write_text('{"broken\n' * 3)
    report = bring(path, lone.parent)
    assert len(report.added) == 1
    (problem,) = report.problems
    assert problem.path == str(victim)
    with Store.open(path, read_only=True) as store:
        expected = "partial" if name == "result.json" else "complete"
        assert store.rows("SELECT status FROM runs WHERE editor = 'memit'") == [(expected,)]


def test_torn_last_line_of_the_journal_is_no_problem(path: Path, runs: Path) -> None:
    journal = runs / small_runs()[0].spec().id / "events.jsonl"
    assert not journal.read_text().endswith("\n")
    assert not bring(path, runs).problems


def test_foreign_folders_and_files(path: Path, runs: Path, tmp_path: Path) -> None:
    victim = runs / small_runs()[0].spec().id
    (runs / "notes.txt").write_text("mine")
    (runs / ".tmp-1").mkdir()
    (runs / "ABCDEF012345").mkdir()
    (runs / "x' OR 1=1 --").mkdir()
    shutil.copytree(victim, runs / "0123456789ab")  # a copy under another name
    shutil.move(victim, tmp_path / "elsewhere")
    victim.symlink_to(tmp_path / "elsewhere")
    report = bring(path, runs)
    assert len(report.added) == 2
    messages = {Path(problem.path).name: problem.message for problem in report.problems}
    assert set(messages) == {"0123456789ab", "ABCDEF012345", "x' OR 1=1 --", victim.name}
    assert f"belongs to run {victim.name}" in messages["0123456789ab"]
    assert "12 hexadecimal digits" in messages["ABCDEF012345"]
    assert "not a folder of its own" in messages[victim.name]


def test_links_out_of_the_run_folder_are_not_followed(path: Path, lone: Path, tmp_path: Path) -> None:
    shutil.move(lone / "events.jsonl", tmp_path / "events")
    (lone / "events.jsonl").symlink_to(tmp_path / "events")
    shutil.move(lone / CHECKPOINT, tmp_path / "scores")
    (lone / CHECKPOINT).symlink_to(tmp_path / "scores")
    messages = [problem.message for problem in bring(path, lone.parent).problems]
    assert len(messages) == 2 and any("not a plain file" in m for m in messages)


def test_changed_spec_is_noticed(path: Path, lone: Path) -> None:
    spec = lone / "spec.json"
    spec.write_text(spec.read_text().replace('"seed": 0', '"seed": 3'))
    (problem,) = bring(path, lone.parent).problems
    assert "the spec was changed" in problem.message


def rewrite(folder: Path, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a table and its manifest too: an insider's forgery, not an accident."""
    pq.write_table(change(pq.read_table(folder / name)), folder / name)
    write_manifest(folder, int(folder.name))


def put(name: str, value: object) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        values = [value, *table[name].to_pylist()[1:]]
        return table.set_column(
            table.column_names.index(name), table.schema.field(name), pa.array(values, table.schema.field(name).type)
        )

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("probes.parquet", lambda t: t.slice(5), "19 cases in the window all, the spec asks for 20"),
        ("probes.parquet", lambda t: pa.concat_tables([t, t.slice(0, 1)]), "a probe twice"),
        ("probes.parquet", put("position", 39), "not at its position"),
        ("probes.parquet", put("position", -1), "outside the schedule"),
        ("probes.parquet", put("kind", "<b>"), "unknown kind"),
        ("probes.parquet", put("hits_new", 99), "hits_new"),
        ("probes.parquet", put("window_planned", True), "window planned, which does not exist"),
        ("probes.parquet", lambda t: t.drop_columns(["nll_new"]), "lacks the columns nll_new"),
        ("probes.parquet", lambda t: t.set_column(0, "case_id", pa.array(["x"] * len(t))), "not a readable Parquet"),
        ("probes.parquet", put("exact_new", None), "empty fields in column exact_new"),
        ("answers.parquet", put("case_id", 5), "not at its position"),
        ("abilities.parquet", put("ability", "my_own_task"), "must hold the tasks"),
        ("abilities.parquet", put("item", 1), "an item twice"),
        ("abilities.parquet", put("chance", 1.5), "chance"),
        ("abilities.parquet", put("chance", float("nan")), "chance"),
    ],
)
def test_outcomes_that_do_not_fit_the_spec_are_refused(
    name: str, change: Callable[[pa.Table], pa.Table], message: str, path: Path, lone: Path
) -> None:
    rewrite(lone / CHECKPOINT, name, change)
    (problem,) = bring(path, lone.parent).problems
    assert message in problem.message


@pytest.mark.parametrize(
    "result",
    [
        {"status": "complete", "edits": 39},
        {"status": "collapsed", "edits": 40},
        {"status": "collapsed", "edits": -1},
        {"status": "best", "edits": 40},
        {"status": "failed", "edits": True},
        {"status": "failed", "edits": 10**30},
        [],
    ],
)
def test_impossible_result_counts_as_not_finished(result: object, path: Path, lone: Path) -> None:
    (lone / "result.json").write_text(json.dumps(result))
    (problem,) = bring(path, lone.parent).problems
    assert problem.path.endswith("result.json")
    with Store.open(path, read_only=True) as store:
        assert store.rows("SELECT status FROM runs WHERE editor = 'memit'") == [("partial",)]


def test_oversized_files_are_not_read(path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palimpsest.results.reading.run_folder.BYTES_JSON", 100)
    report = bring(path, runs)
    assert not report.added and all("more than the 100" in p.message for p in report.problems)


def test_bug_in_reading_one_folder_stops_no_other(path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = read_run_folder
    bad = small_runs()[0].spec().id

    def breaks(folder: Path, digest: str) -> object:
        if folder.name == bad:
            raise MemoryError("a table of 2^60 rows")
        return read(folder, digest)

    monkeypatch.setattr("palimpsest.results.store.run_reader.read_run_folder", breaks)
    report = bring(path, runs)
    assert len(report.added) == 2 and "MemoryError" in report.problems[0].message


def test_hostile_texts_are_cleaned_in_every_table(path: Path, tmp_path: Path) -> None:
    run = SyntheticRun(hostile=True, checkpoints=SMALL, batch_size=10, neighborhood=2, texts=9, top=True)
    write_run(tmp_path / "runs", run)
    assert bring(path, tmp_path / "runs").problems == []
    unwanted = set("\u202e\u202c\u2066\u2069\u200f\u200b\u2028\u2029\x00\x07\x1b\n\t\r")
    with Store.open(path, read_only=True) as store:
        assert store.rows("SELECT editor FROM runs") == [(HOSTILE[0],)]  # kept as text: the page escapes it
        for table in RUN_TABLES:
            texts = [v for row in store.rows(f'SELECT * FROM "{table}"') for v in row if isinstance(v, str)]
            assert not unwanted & set("".join(texts)), table
            limit = 100_000 if table == "runs" else 4000  # the spec as a whole is longer
            assert max(map(len, texts)) <= limit, table
        assert store.rows("SELECT max(length(target_new)) FROM cases") == [(4000,)]


def test_broken_numbers_in_the_journal_do_not_reach_the_store(path: Path, lone: Path) -> None:
    batch = {"event": "batch", "index": 0, "edits": 10, "seconds_edit": "<b>", "peak_memory_mb": 10**400}
    lines = [json.dumps(batch), '{"event": "batch", "index": 1, "edits": 20, "seconds_edit": NaN}', "[1]", '"x"', "{}"]
    (lone / "events.jsonl").write_text("\n".join(lines) + "\n" + "[" * 100_000 + "\n")
    report = bring(path, lone.parent)
    assert "4 unreadable lines" in report.problems[0].message
    with Store.open(path, read_only=True) as store:
        assert store.rows("SELECT seconds_edit, peak_memory_mb FROM timings WHERE run_id = ?", [lone.name]) == [
            (None, None),
            (None, None),
        ]
        assert store.rows("SELECT seconds_per_edit FROM runs WHERE run_id = ?", [lone.name]) == [(None,)]


def test_redone_batches_count_once(path: Path, tmp_path: Path) -> None:
    run = SyntheticRun(checkpoints=SMALL, batch_size=10, neighborhood=2, resumed=True)
    run_id = write_run(tmp_path / "runs", run)
    bring(path, tmp_path / "runs")
    with Store.open(path, read_only=True) as store:
        assert store.rows("SELECT batch, edits FROM timings ORDER BY batch") == [(0, 10), (1, 20), (2, 30), (3, 40)]
        per_edit = store.rows("SELECT seconds_per_edit FROM runs WHERE run_id = ?", [run_id])[0][0]
        assert np.isclose(per_edit, run.seconds_per_edit * (1 + 0.05 * 0.75))
        assert store.rows("SELECT count(*), bool_or(dirty) FROM environment") == [(2, True)]
