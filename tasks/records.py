"""Reading data files record by record: JSON, JSON lines, either gzipped, and Parquet.

What cannot be read is named by file and line. JSON is read strictly: no NaN, no key twice, UTF-8 only.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from palimpsest.harness.errors import ConfigError, MissingResource
from palimpsest.harness.model.catalogue import require_no_pointer
from palimpsest.harness.system.strict_json import JsonProblem, parse

SHOWN = 20
"""So many problems are listed; the others are counted."""
FILE_BYTES = 512 << 20
"""A data file has at most so many bytes, unpacked; CounterFact has 45 million."""
RECORD_BYTES = 1 << 20
FILE_RECORDS = 2_000_000
_KINDS = "Expected JSON or JSON lines in UTF-8, plain or gzipped, or Parquet."


class RecordProblem(ValueError):
    """One record does not fit its schema; the message names the field, its value and what was expected."""


def read_records(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield ``(where, record)`` of every record.

    Raises:
        MissingResource: If the file does not exist.
        ConfigError: If it cannot be read, or some of its records cannot; those are all listed.
    """
    found = scan(path)
    for where, record in found:
        if isinstance(record, RecordProblem):
            rest = [f"{w}: {r}" for w, r in found if isinstance(r, RecordProblem)]
            raise ConfigError(listed([f"{where}: {record}", *rest]))
        yield where, record


def scan(path: Path) -> Iterator[tuple[str, Any]]:
    """As `read_records`, but a record that cannot be read is yielded as a `RecordProblem` in its place."""
    try:
        if not path.is_file():
            raise MissingResource(f"{path}: no such data file. {_KINDS}")
        require_no_pointer(path)
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error
    if head == b"PAR1" or path.suffix == ".parquet":
        return _rows(path)
    content = _content(path, packed=head[:2] == b"\x1f\x8b" or path.suffix == ".gz").removeprefix(b"\xef\xbb\xbf")
    return _listed_records(path, content) if content.lstrip()[:1] == b"[" else _lines(path, content)


def listed(problems: Sequence[str]) -> str:
    """The first problems, one a line, and how many more there are."""
    more = f"\n… and {len(problems) - SHOWN:,} more." if len(problems) > SHOWN else ""
    return "\n".join(problems[:SHOWN]) + more


def _content(path: Path, *, packed: bool) -> bytes:
    """The file's bytes, unpacked, never more than are allowed."""
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            content: bytes = file.read(FILE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        kind = "as gzip " if packed else ""
        raise ConfigError(f"{path}: cannot be read {kind}({error}). {_KINDS}") from error
    if len(content) > FILE_BYTES:
        unpacked = " unpacked" if packed else ""
        raise ConfigError(f"{path}: has more than {FILE_BYTES:,} bytes{unpacked}. Divide it into smaller files.")
    return content


def _listed_records(path: Path, content: bytes) -> Iterator[tuple[str, Any]]:
    try:
        records = _json(content)
    except RecordProblem as problem:
        raise ConfigError(f"{path}: {problem}") from problem
    return ((f"{path}, record {number}", record) for number, record in enumerate(records, 1))


def _lines(path: Path, content: bytes) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(io.BytesIO(content), 1):  # by \n alone: U+2028 may stand in a JSON text
        if line.isspace():
            continue
        record: Any
        try:
            if len(line) > RECORD_BYTES:
                raise RecordProblem(f"has {len(line):,} bytes; a record has at most {RECORD_BYTES:,}.")
            record = _json(line)
        except RecordProblem as problem:
            record = problem
        yield f"{path}, line {number}", record


def _json(raw: bytes) -> Any:
    try:
        return parse(raw)
    except JsonProblem as problem:
        raise RecordProblem(f"{problem}.") from problem


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            about = file.metadata
            size = sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups))
            if size > FILE_BYTES or about.num_rows > FILE_RECORDS:
                raise ConfigError(
                    f"{path}: has {about.num_rows:,} rows and {size:,} bytes. Divide it into smaller files."
                )
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}, record {number}", _without_nulls(row)
            if number != about.num_rows:
                raise ConfigError(f"{path}: holds {number:,} rows, but says {about.num_rows:,}.")
    except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError, pa.ArrowException) as error:
        raise ConfigError(f"{path}: cannot be read as Parquet ({str(error).strip()[:200]}). {_KINDS}") from error


def _without_nulls(value: Any) -> Any:
    """A row as JSON would have it: columns have a place for every field, so null means that a row lacks it."""
    if isinstance(value, dict):
        return {name: _without_nulls(entry) for name, entry in value.items() if entry is not None}
    return [_without_nulls(entry) for entry in value] if isinstance(value, list) else value


def rows_of(where: str, rows: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Records that come from a table in memory, numbered behind ``where``."""
    return ((f"{where} record {number}", _without_nulls(row)) for number, row in enumerate(rows, 1))
