"""Tables for downloading, each as CSV, JSON and Parquet."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from palimpsest.site.jobs import File
from palimpsest.site.text import clean

FORMATS = ("csv", "json", "parquet")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def table_files(stem: str, columns: Mapping[str, Sequence[Any]]) -> Iterator[File]:
    """The three files of one table.

    Args:
        stem: path without an ending.
        columns: name → values, all of one length and one type each.
    """
    tidy = {name: [_tidy(value) for value in values] for name, values in columns.items()}
    yield File(f"{stem}.csv", _csv(tidy))
    rows = [dict(zip(tidy, row, strict=True)) for row in zip(*tidy.values(), strict=True)]
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    yield File(f"{stem}.json", text.encode())
    yield File(f"{stem}.parquet", parquet(pa.table({name: pa.array(values) for name, values in tidy.items()})))


def arrow_files(stem: str, table: pa.Table, *, text_rows: int) -> Iterator[File]:
    """A table of the store; CSV and JSON only up to ``text_rows`` rows."""
    if len(table) <= text_rows:
        columns = {name: table[name].to_pylist() for name in table.column_names}
        plain = {
            name: [json.dumps(v) if isinstance(v, list) else v for v in column] for name, column in columns.items()
        }
        *text, _ = table_files(stem, plain)
        yield from text
    yield File(f"{stem}.parquet", parquet(table))


def parquet(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _tidy(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return clean(value) if isinstance(value, str) else value


def _csv(columns: Mapping[str, Sequence[Any]]) -> bytes:
    """Cells that a spreadsheet would take for a formula get an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow([f"'{v}" if isinstance(v, str) and v.startswith(_FORMULA) else v for v in row])
    return text.getvalue().encode()
