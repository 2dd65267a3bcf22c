"""Foreign Parquet tables: the columns that are wanted, of the right types, within bounds, with cleaned texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from palimpsest.results.reading.cleaning import NAME_LENGTH, TEXT_LENGTH, clean_text
from palimpsest.results.reading.problems import Invalid

ROWS_TABLE = 20_000_000
_UNPACKED_TABLE = 4_000_000_000
_NAMES = frozenset({"kind", "ability", "metric", "name"})
"""Columns of short texts."""


def parse_table(data: bytes, schema: pa.Schema) -> pa.Table:
    """The columns of ``schema`` from the bytes of a Parquet file, cast and with all texts cleaned.

    Args:
        data: a whole Parquet file; further columns in it are left out.
        schema: one of `palimpsest.harness.runs.layout`; columns marked `LATER` may be missing and are then empty.

    Raises:
        Invalid: no Parquet, too many rows, a missing column, a wrong type, or empty fields where none may be.
    """
    try:
        table = _read(data, schema)
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, Invalid):
            raise
        raise Invalid(f"is not a readable Parquet table: {clean_text(error, NAME_LENGTH)}") from error
    for place, field in enumerate(schema):
        if not field.nullable and table.column(place).null_count:
            raise Invalid(f"has empty fields in column {field.name}")
        if pa.types.is_string(field.type):
            limit = NAME_LENGTH if field.name in _NAMES else TEXT_LENGTH
            table = table.set_column(place, field.name, _clean_column(table.column(place), limit))
    return table


def _read(data: bytes, schema: pa.Schema) -> pa.Table:
    file = pq.ParquetFile(pa.BufferReader(data))
    meta = file.metadata
    unpacked = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
    if meta.num_rows > ROWS_TABLE or unpacked > _UNPACKED_TABLE:
        raise Invalid(f"holds {meta.num_rows} rows ({unpacked} bytes), more than is read")
    missing = [field for field in schema if field.name not in file.schema_arrow.names]
    needed = [field.name for field in missing if not field.metadata]
    if needed:
        raise Invalid(f"lacks the columns {', '.join(needed)}")
    table = file.read(columns=[name for name in schema.names if name in file.schema_arrow.names])
    for field in missing:
        table = table.append_column(field.name, pa.nulls(len(table), field.type))
    table = table.select(schema.names)
    table = table.cast(pa.schema([field.with_nullable(True) for field in schema]))
    table.validate(full=True)  # texts may hold bytes that are no UTF-8
    return table


def _clean_column(column: pa.ChunkedArray, limit: int) -> pa.Array:
    packed = pa.chunked_array(column.chunks, pa.string()).combine_chunks().dictionary_encode()
    texts = pa.array([clean_text(text, limit) for text in packed.dictionary.to_pylist()], pa.string())
    return texts.take(packed.indices)


def filled(table: pa.Table, name: str) -> NDArray[Any]:
    """A column of counts or truth values; what is empty, since older runs lack the column, is 0 or false."""
    column = table[name]
    empty = pa.scalar(False if pa.types.is_boolean(column.type) else 0, column.type)
    values: NDArray[Any] = pc.fill_null(column, empty).to_numpy()
    return values


def degrees(items: pa.Table) -> NDArray[np.float64]:
    """Degree to which each item of ability tasks is right, 0..1; 1 or 0 where its metric has no degrees."""
    right = items["correct"].cast(pa.float64())
    if "score" in items.schema.names:
        right = pc.coalesce(items["score"], right)
    found: NDArray[np.float64] = right.to_numpy()
    return found


def values_of(table: pa.Table, name: str) -> NDArray[Any]:
    """A column as an array."""
    values: NDArray[Any] = table[name].to_numpy()
    return values
