"""Every table of the store as a Parquet file, in an order that depends on the content alone."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet as pq

from palimpsest.harness.errors import StoreError
from palimpsest.results.store.database import Store
from palimpsest.results.store.run_rows import RUN_TABLES

_ROW_GROUP = 100_000


def export_tables(store: Store, folder: Path) -> list[Path]:
    """Write ``<table>.parquet`` for every table into ``folder``; the paths written.

    Two stores with the same runs give the same bytes, however they came about. Each file appears whole or not at all.

    Raises:
        StoreError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_export(store, table, folder) for table in RUN_TABLES]
    except OSError as error:
        raise StoreError(f"The store cannot be exported to {folder}: {error.strerror or error}.") from error


def _export(store: Store, table: str, folder: Path) -> Path:
    """One table, a run at a time: memory is bounded by the largest run."""
    path = folder / f"{table}.parquet"
    temporary = folder / f".{table}.parquet.{os.getpid()}.tmp"
    schema = store.arrow(f'SELECT * FROM "{table}" LIMIT 0').schema
    try:
        with temporary.open("xb") as file:
            with pq.ParquetWriter(file, schema, compression="zstd") as writer:
                for (run_id,) in store.rows("SELECT run_id FROM runs ORDER BY run_id"):
                    rows = store.arrow(f'SELECT * FROM "{table}" WHERE run_id = ? ORDER BY ALL', [run_id])
                    writer.write_table(rows, row_group_size=_ROW_GROUP)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
