"""Tables for downloading, each as CSV, JSON and Parquet."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from palimpsest.harness.system.json_values import json_value
from palimpsest.site.jobs import File
from palimpsest.site.words.text import clean

FORMATS = ("csv", "json", "parquet")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def table_files(stem: str, columns: Mapping[str, Sequence[Any]]) -> Iterator[File]:
    """The three files of one table.

    Args:
        stem: Path without an ending.
        columns: Name → values, all of one length and one type each.
    """
    tidy = {name: _tidy_column(values) for name, values in columns.items()}
    table = pa.table({name: pa.array(values) for name, values in tidy.items()})
    yield File(f"{stem}.csv", _csv(table))
    rows = [dict(zip(tidy, row, strict=True)) for row in zip(*tidy.values(), strict=True)]
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    yield File(f"{stem}.json", text.encode())
    yield File(f"{stem}.parquet", parquet(table))


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
    texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
    pq.write_table(table, buffer, compression="zstd", use_dictionary=texts)
    return buffer.getvalue()


def _tidy_column(values: Sequence[Any]) -> Sequence[Any]:
    """Texts cleaned, numbers that are not finite left out; a column has one kind of values, most have few texts."""
    kinds = {type(value) for value in values} - {int, bool, type(None)}
    if kinds == {float}:
        return [value if value is None or math.isfinite(value) else None for value in values]
    if kinds == {str}:
        cleaned = {text: clean(text) for text in set(values) if text is not None}
        return [cleaned.get(value) for value in values]
    return [json_value(value, text=clean) for value in values] if kinds else values


def _csv(table: pa.Table) -> bytes:
    """Texts that a spreadsheet would take for a formula get an apostrophe."""
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            texts = table[place].to_pylist()
            if any(text.startswith(_FORMULA) for text in set(texts) - {None}):
                safe = [f"'{text}" if text is not None and text.startswith(_FORMULA) else text for text in texts]
                table = table.set_column(place, field.name, pa.array(safe, pa.string()))
    buffer = io.BytesIO()
    arrow_csv.write_csv(table, buffer)
    return buffer.getvalue()
