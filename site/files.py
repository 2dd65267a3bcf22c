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
    tidy = {name: _tidy_column(values) for name, values in columns.items()}
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


def _tidy_column(values: Sequence[Any]) -> Sequence[Any]:
    """Texts cleaned, numbers that are not finite left out; a column has one kind of values, most have few texts."""
    kinds = {type(value) for value in values} - {int, bool, type(None)}
    if kinds == {float}:
        return [value if value is None or math.isfinite(value) else None for value in values]
    if kinds == {str}:
        cleaned = {text: clean(text) for text in set(values) if text is not None}
        return [cleaned.get(value) for value in values]
    return [_tidy(value) for value in values] if kinds else values


def _tidy(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return clean(value) if isinstance(value, str) else value


def _no_text(values: Sequence[Any]) -> bool:
    return not any(isinstance(value, str) for value in values)


def _as_cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _csv(columns: Mapping[str, Sequence[Any]]) -> bytes:
    """Cells that a spreadsheet would take for a formula get an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    safe = (values if _no_text(values) else [_as_cell(value) for value in values] for values in columns.values())
    writer.writerows(zip(*safe, strict=True))
    return text.getvalue().encode()
