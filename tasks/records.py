"""Reading data files record by record, with every problem named by file and line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from palimpsest.harness.errors import ConfigError, MissingResource
from palimpsest.harness.requests import Case

_SHOWN = 20


class RecordProblem(ValueError):
    """One record does not fit its schema; the message names the field, its value and what was expected."""


def read_records(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield ``(where, record)`` from a JSON list or JSON lines, plain or gzipped.

    Raises:
        MissingResource: If the file does not exist.
        ConfigError: If it is not JSON; names file and line.
    """
    if not path.is_file():
        raise MissingResource(f"{path}: no such data file. Give a .json, .jsonl or .gz file of edit records.")
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text ({error}). Expected UTF-8 JSON, plain or gzipped.") from None
    if text.lstrip().startswith("["):
        yield from ((f"{path}, record {i}", record) for i, record in enumerate(_json(text, str(path))))
        return
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: U+2028 may stand in a JSON text
        if line.strip():
            yield f"{path}, line {number}", _json(line, f"{path}, line {number}")


def parse_all(records: Iterator[tuple[str, Any]], parse: Callable[[Any, int], Case]) -> tuple[Case, ...]:
    """Parse every record; all problems, duplicate case ids included, are reported together in one `ConfigError`."""
    cases: list[Case] = []
    problems: list[str] = []
    seen: dict[int, str] = {}
    for index, (where, record) in enumerate(records):
        try:
            case = parse(record, index)
        except RecordProblem as problem:
            problems.append(f"{where}: {problem}")
            continue
        case_id = case.request.case_id
        if case_id in seen:
            problems.append(f"{where}: case_id {case_id} was already used by {seen[case_id]}.")
        seen.setdefault(case_id, where)
        cases.append(case)
    if problems:
        more = f"\n… and {len(problems) - _SHOWN} more." if len(problems) > _SHOWN else ""
        raise ConfigError("\n".join(problems[:_SHOWN]) + more)
    if not cases:
        raise ConfigError("The data holds no records; at least one edit is needed.")
    return tuple(cases)


def text_field(record: Any, field: str, *, empty: bool = False) -> str:
    """The string at the dotted path ``field``; a `RecordProblem` otherwise."""
    value = _at(record, field)
    if not isinstance(value, str):
        raise RecordProblem(f"{field}: expected text, got {value!r:.80}.")
    if not empty and not value.strip():
        raise RecordProblem(f"{field}: must not be empty.")
    return value


def text_list(record: Any, field: str) -> tuple[str, ...]:
    """The list of strings at ``field``; absent means empty."""
    value = record.get(field, []) if isinstance(record, Mapping) else None
    if not isinstance(value, list) or any(not isinstance(item, str) or not item.strip() for item in value):
        raise RecordProblem(f"{field}: expected a list of non-empty texts, got {value!r:.80}.")
    return tuple(value)


def case_number(record: Any, index: int) -> int:
    """The record's ``case_id``, or its place in the file where it has none."""
    value = record.get("case_id", index) if isinstance(record, Mapping) else index
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise RecordProblem(f"case_id: expected a whole number from 0, got {value!r:.80}.")
    return value


def _at(record: Any, field: str) -> Any:
    for part in field.split("."):
        if not isinstance(record, Mapping):
            raise RecordProblem(f"{field}: expected an object, got {record!r:.80}.")
        if part not in record:
            raise RecordProblem(f"{field}: is missing.")
        record = record[part]
    return record


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{where}: not valid JSON ({error.msg}, column {error.colno}).") from None
