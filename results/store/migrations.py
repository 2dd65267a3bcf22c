"""Numbered steps that bring a store's tables to the present form; the list only ever grows at its end."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from palimpsest.harness.errors import StoreError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class Migration(NamedTuple):
    """One step; its version is its place in `MIGRATIONS`, counted from 1."""

    name: str
    apply: Callable[[DuckDBPyConnection], object]


def _first_tables(connection: DuckDBPyConnection) -> None:
    connection.execute(files("palimpsest.results.store").joinpath("schema.sql").read_text(encoding="utf-8"))


def _edit_order(connection: DuckDBPyConnection) -> None:
    connection.execute("ALTER TABLE runs ADD COLUMN edit_order VARCHAR")
    connection.execute("UPDATE runs SET edit_order = coalesce('order seed ' || order_seed::VARCHAR, 'file order')")


def _ledger(connection: DuckDBPyConnection) -> None:
    connection.execute(
        "CREATE TABLE ledger (line INTEGER NOT NULL, time VARCHAR NOT NULL, action VARCHAR NOT NULL, run VARCHAR NOT"
        " NULL, editor VARCHAR NOT NULL, reason VARCHAR NOT NULL, replaces VARCHAR, verdict VARCHAR)"
    )


def _courses(connection: DuckDBPyConnection) -> None:
    """Filled at the next ingest, which finds every run changed."""
    for statement in (
        "ALTER TABLE runs ADD COLUMN row_id VARCHAR",  # hash of the spec without its seed
        "ALTER TABLE runs ADD COLUMN texts_hash VARCHAR",  # of all prompts and targets, in the order of the edits
        "CREATE TABLE rank_draws (run_id VARCHAR NOT NULL, quantity VARCHAR NOT NULL, draws FLOAT[] NOT NULL)",
        "CREATE TABLE case_courses (run_id VARCHAR NOT NULL, position INTEGER NOT NULL, case_id BIGINT NOT NULL,"
        " course VARCHAR NOT NULL)",  # see courses.py
        "CREATE TABLE ability_courses (run_id VARCHAR NOT NULL, edits INTEGER NOT NULL, ability VARCHAR NOT NULL,"
        " chance DOUBLE NOT NULL, items VARCHAR NOT NULL)",
    ):
        connection.execute(statement)


def _texts(connection: DuckDBPyConnection) -> None:
    """Filled at the next ingest, which finds every run changed."""
    probe = "run_id VARCHAR NOT NULL, edits INTEGER NOT NULL, case_id BIGINT NOT NULL, position INTEGER NOT NULL,"
    probe += " kind VARCHAR NOT NULL, index INTEGER NOT NULL, text VARCHAR NOT NULL"
    for statement in (
        "ALTER TABLE case_scores ADD COLUMN window_first_1000 BOOLEAN",  # NULL: no such window
        "ALTER TABLE case_scores ADD COLUMN window_last_1000 BOOLEAN",
        "ALTER TABLE case_scores ADD COLUMN tokens_top INTEGER",  # NULL, or 0: not compared with a continuation
        "ALTER TABLE case_scores ADD COLUMN hits_top INTEGER",
        "ALTER TABLE case_scores ADD COLUMN exact_top BOOLEAN",
        "ALTER TABLE checkpoints ADD COLUMN seconds_generation DOUBLE",
        f"CREATE TABLE texts ({probe}, tokens INTEGER NOT NULL)",  # behind the prompt; tokens count the prompt
        f"CREATE TABLE continuations ({probe}, tokens INTEGER[] NOT NULL)",  # of the unedited model, in token ids
    ):
        connection.execute(statement)


MIGRATIONS: list[Migration] = [
    Migration("first tables", _first_tables),
    Migration("the order of edits in words", _edit_order),
    Migration("the ledger of submissions", _ledger),
    Migration("courses of cases and draws for ranks", _courses),
    Migration("sampled texts and continuations", _texts),
]


def schema_version(connection: DuckDBPyConnection) -> int:
    """Number of the last step done on this database; 0 for an empty one."""
    known = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'main' AND table_name = 'migrations'"
    ).fetchone()
    if known is None or not known[0]:
        return 0
    row = connection.execute("SELECT coalesce(max(version), 0) FROM migrations").fetchone()
    return int(row[0]) if row else 0


def migrate(connection: DuckDBPyConnection) -> list[str]:
    """Do the steps that are still missing, each in a transaction of its own; their names.

    Raises:
        StoreError: the store was made by a newer Palimpsest.
    """
    present = schema_version(connection)
    if present > len(MIGRATIONS):
        raise StoreError(
            f"The store has schema {present}, but this Palimpsest knows only {len(MIGRATIONS)}. Update Palimpsest, or "
            "name another store."
        )
    connection.execute("CREATE TABLE IF NOT EXISTS migrations (version INTEGER NOT NULL, name VARCHAR NOT NULL)")
    done = []
    for version, step in enumerate(MIGRATIONS[present:], start=present + 1):
        connection.execute("BEGIN")
        try:
            step.apply(connection)
            connection.execute("INSERT INTO migrations VALUES (?, ?)", [version, step.name])
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        done.append(step.name)
    return done
