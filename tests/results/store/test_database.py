from __future__ import annotations

import random
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from palimpsest.cli.app import main
from palimpsest.harness.errors import StoreError, UsageError
from palimpsest.results.store.database import SCHEMA, OtherSchema, Store
from palimpsest.results.store.ingest import ingest, ingest_all, rebuild
from palimpsest.results.store.run_rows import RUN_TABLES

HOLDER = """
import duckdb, pathlib, sys, time
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[3] == "read")
pathlib.Path(sys.argv[2]).touch()
time.sleep(60)
"""


class Holder:
    """Another process that has a store open."""

    def __init__(self, path: Path, how: str) -> None:
        ready = path.with_name("ready")
        ready.unlink(missing_ok=True)
        self.process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path), str(ready), how])
        deadline = time.monotonic() + 30
        while not ready.exists():
            assert self.process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self.process

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "palimpsest.duckdb"


def test_new_store_has_every_table_and_no_rows(path: Path) -> None:
    with Store.open(path) as store:
        names = {row[0] for row in store.rows("SHOW TABLES")}
        assert names == {*RUN_TABLES, "ledger", "standings", "pairs", "store_schema", "shown_runs"}
        for table in RUN_TABLES:
            columns = [row[0] for row in store.rows(f'DESCRIBE "{table}"')]
            assert columns[0] == "run_id"


def test_locked_store_names_file_process_and_way_out(path: Path, tmp_path: Path) -> None:
    Store.open(path).close()
    with Holder(path, "write") as process:
        for action in (
            lambda: Store.open(path),
            lambda: Store.open(path, read_only=True),
            lambda: rebuild(path, tmp_path / "runs"),
        ):
            with pytest.raises(StoreError) as caught:
                action()
            text = str(caught.value)
            assert str(path) in text and f"process {process.pid}" in text and "repeat the command" in text
            assert caught.value.exit_code == 4
    Store.open(path).close()  # the holder is gone


def test_readers_share_but_keep_a_writer_out(path: Path) -> None:
    Store.open(path).close()
    with Holder(path, "read") as process:
        Store.open(path, read_only=True).close()
        with pytest.raises(StoreError, match=f"process {process.pid}"):
            Store.open(path)


def test_missing_store_tells_how_to_make_it(path: Path) -> None:
    with pytest.raises(StoreError, match="palimpsest store ingest"):
        Store.open(path, read_only=True)
    assert not path.parent.exists()


def test_file_that_is_no_store(path: Path, tmp_path: Path, runs: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database " * 1000)
    for read_only in (False, True):
        with pytest.raises(StoreError, match="palimpsest store rebuild"):
            Store.open(path, read_only=read_only)
    assert len(rebuild(path, runs).added) == 3  # and that indeed helps


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_block_of_a_store_is_told_at_whatever_statement_it_is_met(path: Path, runs: Path, seed: int) -> None:
    rebuild(path, runs)
    whole, dice = path.read_bytes(), random.Random(seed)
    if seed < 3:
        path.write_bytes(whole[: dice.randrange(20_000, len(whole))])
    else:
        data = bytearray(whole)
        for place in range(dice.randrange(4096), len(data), 4096):
            data[place] ^= 1
        path.write_bytes(data)
    with pytest.raises(StoreError, match="palimpsest store rebuild"), Store.open(path, read_only=True) as store:
        for table in RUN_TABLES:
            store.rows(f'SELECT * FROM "{table}"')
            store.arrow(f'SELECT * FROM "{table}"')
    with pytest.raises(StoreError, match="palimpsest store rebuild"), Store.open(path) as store:
        ingest(store, runs)
        for table in RUN_TABLES:
            store.records(f'SELECT * FROM "{table}"')
    assert len(rebuild(path, runs).added) == 3


def test_a_store_of_a_newer_duckdb_says_so_and_is_rebuilt(path: Path, runs: Path) -> None:
    """A real store whose first block has a higher storage version, under the checksum that DuckDB gives it."""
    rebuild(path, runs)
    block = bytearray(path.read_bytes()[:4096])
    assert block[8:12] == b"DUCK" and struct.unpack("<Q", block[:8])[0] == duckdb_checksum(block[8:])
    block[12:20] = struct.pack("<Q", 10_000)
    block[:8] = struct.pack("<Q", duckdb_checksum(block[8:]))
    with path.open("r+b") as file:
        file.write(block)
    for read_only in (False, True):
        with pytest.raises(StoreError, match="another version of DuckDB.*palimpsest store rebuild"):
            Store.open(path, read_only=read_only)
    assert len(rebuild(path, runs).added) == 3


def duckdb_checksum(data: bytes) -> int:
    """The checksum of a block of a DuckDB file without the checksum in front of it."""
    found = 5381
    for (word,) in struct.iter_unpack("<Q", data):
        found ^= word * 0xBF58476D1CE4E5B9 % 2**64
    return found


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be made"):
        Store.open(tmp_path / "file" / "below" / "palimpsest.duckdb")


def as_of_schema(path: Path, version: int) -> None:
    """Make the store look as another version of Palimpsest would have left it."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE store_schema SET version = ?", [version])
        connection.execute("ALTER TABLE runs DROP COLUMN texts_hash")


@pytest.mark.parametrize("version", [SCHEMA - 1, SCHEMA + 1])
def test_a_store_of_another_schema_is_not_opened_and_names_the_way_out(path: Path, version: int) -> None:
    Store.open(path).close()
    as_of_schema(path, version)
    for read_only in (False, True):
        with pytest.raises(OtherSchema, match=f"has schema {version}, .*palimpsest store ingest"):
            Store.open(path, read_only=read_only)


def test_a_store_from_before_there_was_one_schema_is_told_apart(path: Path) -> None:
    path.parent.mkdir()
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE migrations (version INTEGER NOT NULL, name VARCHAR NOT NULL)")
        connection.execute("INSERT INTO migrations VALUES (5, 'sampled texts and continuations')")
    with pytest.raises(OtherSchema, match="has schema 5"):
        Store.open(path)


@pytest.mark.parametrize("version", [SCHEMA - 1, SCHEMA + 1])
def test_ingest_makes_a_store_of_another_schema_anew_and_says_so(path: Path, runs: Path, version: int) -> None:
    ingest_all(path, runs)
    as_of_schema(path, version)
    report = ingest_all(path, runs)
    assert len(report.added) == 3
    assert f"has schema {version}: it was made anew from run folders and submissions." in report.rebuilt
    assert ingest_all(path, runs).rebuilt == ""
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_runs_of_a_store_of_another_schema_that_have_no_folder_stay_in_the_old_file(path: Path, runs: Path) -> None:
    gone = ingest_all(path, runs).added[0]
    as_of_schema(path, SCHEMA - 1)
    shutil.rmtree(runs / gone)
    report = ingest_all(path, runs)
    old = path.with_name("palimpsest.other-schema.duckdb")
    assert gone in report.rebuilt and str(old) in report.rebuilt
    with duckdb.connect(str(old), read_only=True) as connection:
        assert (gone,) in connection.execute("SELECT run_id FROM runs").fetchall()


def test_the_command_says_that_the_store_was_made_anew(
    path: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = path.parent
    shutil.copytree(runs, home / "runs")
    command = ["store", "ingest", "--home", str(home), "--submissions", str(home / "submissions")]
    assert main(command) == 0
    as_of_schema(path, 2)
    capsys.readouterr()
    assert main(command) == 0
    told = capsys.readouterr()
    assert "was made anew from run folders and submissions" in told.err and "3 added" in told.out


def test_query_gives_columns_and_rows(path: Path, runs: Path) -> None:
    with Store.open(path) as store:
        ingest(store, runs)
        with pytest.raises(StoreError, match="reading only"):
            store.query("SELECT 1")
    with Store.open(path, read_only=True) as store:
        result = store.query("SELECT editor, status FROM runs ORDER BY editor")
        assert result.columns == ("editor", "status")
        assert result.rows == [("alphaedit", "partial"), ("ft-l", "collapsed"), ("memit", "complete")]
        assert ("runs",) in store.query("SHOW TABLES").rows
        with pytest.raises(StoreError, match="reading only"):
            ingest(store, runs)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1; DROP TABLE runs",
        "",
        "DELETE FROM runs",
        "INSERT INTO runs SELECT * FROM runs",
        "CREATE TABLE x AS SELECT 1",
        "COPY runs TO '{tmp}/stolen.csv'",
        "ATTACH '{tmp}/other.duckdb'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA memory_limit = '1GB'",
        "CALL pragma_version()",
        "EXPORT DATABASE '{tmp}/x'",
        "SELECT * FROM read_csv('{tmp}/secret.csv')",
        "SELECT * FROM read_text('{tmp}/secret.csv')",
        "SELECT * FROM '{tmp}/secret.csv'",
        "SELECT * FROM glob('{tmp}/*')",
        "EXPLAIN ANALYZE SELECT * FROM read_text('{tmp}/secret.csv')",
        "SELEC nonsense",
        "SELECT * FROM no_such_table",
    ],
)
def test_query_can_only_read_the_store(sql: str, path: Path, tmp_path: Path) -> None:
    Store.open(path).close()
    (tmp_path / "secret.csv").write_text("password\nhunter2\n")
    before = path.read_bytes()
    with Store.open(path, read_only=True) as store, pytest.raises(UsageError) as caught:
        store.query(sql.replace("{tmp}", str(tmp_path)))
    assert caught.value.exit_code == 2 and "hunter2" not in str(caught.value)
    assert path.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"home", "secret.csv"}
