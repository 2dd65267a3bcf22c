"""One data set from several files: records of the first, with the fields that the others have for the same case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from palimpsest.tasks.records import RecordProblem, scan

_BETWEEN = "+"


def files_of(path: Path) -> list[Path]:
    """The files that ``path`` names: itself, or those of ``FILE+FILE`` where there is no file of that name."""
    if _BETWEEN not in str(path) or path.exists():
        return [path]
    return [Path(part) for part in str(path).split(_BETWEEN)]


def joined(paths: Sequence[Path]) -> Iterator[tuple[str, Any]]:
    """As `palimpsest.tasks.records.scan`, of all files together: those records of the first that another one adds to.

    Records belong together by their ``case_id``. What belongs to none, and a field that stands twice, is a problem in
    its place.
    """
    first, *others = paths
    if not others:
        yield from scan(first)
        return
    more: dict[int, tuple[str, dict[str, Any]]] = {}
    for path in others:
        for where, record in scan(path):
            try:
                case_id, fields = _parts(record)
                known = more.setdefault(case_id, (where, {}))[1]
                _check_new(fields, known)
                known.update(fields)
            except RecordProblem as problem:
                yield where, problem
    for where, record in scan(first):
        try:
            case_id, fields = _parts(record)
            if case_id in more:
                _, added = more.pop(case_id)
                _check_new(added, fields)
                yield where, {**record, **added}
        except RecordProblem as problem:
            yield where, problem
    for case_id, (where, _) in more.items():
        yield where, RecordProblem(f"case_id: {first.name} has no case {case_id} that this could be added to.")


def _parts(record: Any) -> tuple[int, dict[str, Any]]:
    """The case of a record, and its other fields."""
    if isinstance(record, RecordProblem):
        raise record
    case_id = record.get("case_id") if isinstance(record, Mapping) else None
    if type(case_id) is not int:
        raise RecordProblem(f"case_id: files are joined by it: expected a whole number, got {case_id!r:.80}.")
    return case_id, {name: value for name, value in record.items() if name != "case_id"}


def _check_new(fields: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    twice = sorted(fields.keys() & known.keys())
    if twice:
        raise RecordProblem(f"{twice[0]}: stands in several of the joined files for the same case.")
