"""The DuckDB store: opening it, one writer at a time, and reading it safely."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from palimpsest.harness.errors import StoreError, UsageError

SCHEMA = 12
"""Version of ``schema.sql``; a store of another one is made anew by `palimpsest.results.store.ingest.ingest_all`."""
STORE_NAME = "palimpsest.duckdb"
_DAMAGE = (
    *("not a valid DuckDB database", "Corrupt", "checksum", "Could not read enough bytes"),
    "database has been invalidated",
)
"""Words of DuckDB about a damaged file."""
_LOCK_HOLDER = re.compile(r"Conflicting lock is held(?: in (?P<program>.+?))? \(PID (?P<pid>\d+)\)")


class OtherSchema(StoreError):
    """A store whose tables are those of another version of Palimpsest."""


class QueryResult(NamedTuple):
    """Columns and rows of one query."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


class Store:
    """One open DuckDB file. Use it as a context manager, or call `close`.

    Only one process may have a store open for writing, and then no other may even read it. A store opened with
    ``read_only`` can neither change anything nor reach any other file, whatever the query.
    """

    def __init__(self, path: Path, connection: duckdb.DuckDBPyConnection, *, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self._connection = connection
        self._schemas: dict[str, pa.Schema] = {}

    @classmethod
    def open(cls, path: Path | str, *, read_only: bool = False) -> Store:
        """Open the store at ``path``; for writing, it is made if there is none.

        Args:
            path: the DuckDB file.
            read_only: allow queries only.

        Raises:
            OtherSchema: its tables are those of another version of Palimpsest.
            StoreError: another process holds the file, it is no store, or there is none to read.
        """
        path = Path(path)
        if read_only and not path.is_file():
            raise StoreError(f"There is no store at {path} yet. Make it from the run folders: palimpsest store ingest")
        if not read_only:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"The folder for the store {path} cannot be made: {error.strerror}.") from error
        store = cls(path, connect(path, read_only=read_only), read_only=read_only)
        try:
            store._prepare()
        except BaseException:
            store.close()
            raise
        return store

    def _prepare(self) -> None:
        try:
            version = _schema_version(self._connection)
            if version is None and not self.read_only:
                self._make_tables()
                version = SCHEMA
            if self.read_only:
                self._connection.execute("SET enable_external_access = false")
                self._connection.execute("SET lock_configuration = true")
        except duckdb.Error as error:
            raise StoreError(_unusable(self.path, error)) from error
        if version != SCHEMA:
            raise OtherSchema(
                f"The store {self.path} has schema {version or 'unknown'}, this Palimpsest has {SCHEMA}. Make it anew "
                "from run folders and submissions: palimpsest store ingest"
            )

    def _make_tables(self) -> None:
        with self.transaction():
            self._connection.execute(files(__package__).joinpath("schema.sql").read_text(encoding="utf-8"))
            self._connection.execute("INSERT INTO store_schema VALUES (?)", [SCHEMA])

    def close(self) -> None:
        """Write what is pending and let the file go."""
        self._connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the body or nothing."""
        with self._readable():
            self._connection.execute("BEGIN")
            try:
                yield
            except BaseException:
                with suppress(duckdb.Error):  # a store that broke has ended the transaction itself
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn what DuckDB says of a damaged file, at whatever statement it comes to the place, into our words."""
        try:
            yield
        except duckdb.Error as error:
            if not _is_damage(str(error)):
                raise
            raise StoreError(_unusable(self.path, error)) from error

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Rows of one of our own statements."""
        with self._readable():
            result: list[tuple[Any, ...]] = self._connection.execute(sql, list(parameters)).fetchall()
        return result

    def records(self, sql: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Like `rows`, each as a dict by column name."""
        with self._readable():
            cursor = self._connection.execute(sql, list(parameters))
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def arrow(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        """The result of one of our own statements as an Arrow table."""
        with self._readable():
            return self._connection.sql(sql, params=list(parameters)).to_arrow_table()

    def insert(self, table: str, rows: Sequence[Mapping[str, object]] | pa.Table) -> None:
        """Append rows to a table, columns by name; missing columns stay empty."""
        if not len(rows):
            return
        self._connection.register("incoming", self.as_table(table, rows))
        try:
            self._connection.execute(f'INSERT INTO "{table}" BY NAME SELECT * FROM incoming')
        finally:
            self._connection.unregister("incoming")

    def as_table(self, table: str, rows: Sequence[Mapping[str, object]] | pa.Table) -> pa.Table:
        """Rows as `insert` takes them, as an Arrow table with the columns of the store's; one is left as it is."""
        if isinstance(rows, pa.Table):
            return rows
        if table not in self._schemas:
            self._schemas[table] = self.arrow(f'SELECT * FROM "{table}" LIMIT 0').schema
        return pa.Table.from_pylist(list(rows), schema=self._schemas[table])

    def query(self, sql: str) -> QueryResult:
        """Run one reading statement from a user.

        Raises:
            UsageError: it is not exactly one SELECT, FROM, SHOW, DESCRIBE or EXPLAIN, or DuckDB refuses it.
            StoreError: this store is open for writing.
        """
        if not self.read_only:
            raise StoreError(f"Queries need the store {self.path} opened for reading only.")
        try:
            statements = duckdb.extract_statements(sql)
            if len(statements) != 1 or statements[0].type.name not in ("SELECT", "EXPLAIN"):
                raise UsageError(
                    "The query must be exactly one reading statement (SELECT, FROM, SHOW TABLES, DESCRIBE, EXPLAIN); "
                    "for the tables: palimpsest store query 'SHOW TABLES'"
                )
            cursor = self._connection.execute(statements[0])
            columns = tuple(column[0] for column in cursor.description or ())
            return QueryResult(columns, cursor.fetchall())
        except duckdb.Error as error:
            raise UsageError(f"The store refused the query: {str(error).strip()}") from error


def _schema_version(connection: duckdb.DuckDBPyConnection) -> int | None:
    """Version of the tables; 0 where they do not say, None for a file without tables."""
    names = {row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if not names:
        return None
    table = "store_schema" if "store_schema" in names else "migrations"
    if table not in names:
        return 0
    row = connection.execute(f"SELECT coalesce(max(version), 0) FROM {table}").fetchone()
    return int(row[0]) if row else 0


def connect(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """A connection to the DuckDB file at ``path``, whatever is in it.

    Raises:
        StoreError: another process holds it, or it is no DuckDB file.
    """
    try:
        return duckdb.connect(str(path), read_only=read_only)
    except duckdb.Error as error:
        raise StoreError(_unusable(path, error)) from error


def _unusable(path: Path, error: Exception) -> str:
    """Error message for a file that DuckDB cannot open or read."""
    text = str(error)
    holder = _LOCK_HOLDER.search(text)
    if holder or "Could not set lock" in text or "different configuration" in text:
        by = f"process {holder['pid']} ({holder['program'] or 'unknown'})" if holder else "another process"
        return (
            f"The store {path} is in use by {by}; only one process can have it open while one of them writes. Wait "
            "until that is done (or end it) and repeat the command. Runs do not need the store and lose nothing."
        )
    if "version number" in text or "newer version" in text:
        return (
            f"{path} was written by another version of DuckDB than the installed one, which cannot read it. Make the "
            "store anew from run folders and submissions: palimpsest store rebuild"
        )
    if _is_damage(text):
        return (
            f"{path} is not a readable store. All that is in a store comes from the run folders: move the file away "
            "and make it anew with: palimpsest store rebuild"
        )
    return f"The store {path} cannot be used: {text.splitlines()[0] if text else type(error).__name__}"


def _is_damage(text: str) -> bool:
    """True for an error message about a file with damaged, or missing, parts."""
    return any(phrase in text for phrase in _DAMAGE)
