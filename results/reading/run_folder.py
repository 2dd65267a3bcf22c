"""Reading one run folder into checked values, whatever state it is in."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from palimpsest.harness.runs import layout
from palimpsest.harness.runs.reading import ENDED, ENDINGS
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.results.reading.bounded_files import BYTES_JOURNAL, BYTES_JSON, BYTES_TABLE, read_bytes, read_packed
from palimpsest.results.reading.cleaning import NAME_LENGTH, clean_text
from palimpsest.results.reading.foreign_json import parse_object, whole
from palimpsest.results.reading.made_texts import TEXT_FILES, made_texts
from palimpsest.results.reading.problems import Invalid, Problem
from palimpsest.results.reading.score_folder import MANIFEST, read_score_folder
from palimpsest.results.reading.score_rows import check_cases, check_scores
from palimpsest.results.reading.tables import parse_table
from palimpsest.results.reading.text_files import check_texts

INGEST_VERSION = 9
"""Raised whenever the same run folder gives other rows than before: every run is then ingested anew."""

SEAL = "bundle.json"
"""On top of a bundle, which may leave out texts that its task makes; a run's own folder has them all."""
PACKED_JOURNAL = f"{layout.JOURNAL}.gz"
"""In a bundle, in place of a long journal."""
TOP_FILES = (layout.SPEC, layout.ENVIRONMENT, layout.JOURNAL, layout.RESULT, *TEXT_FILES)
"""Files beside the folder of scores."""
RUN_ID = re.compile(r"[0-9a-f]{12}")
CHECKPOINT = re.compile(r"[0-9]{6}|[1-9][0-9]{6,9}")
"""Name of a score folder: a number of edits, with zeros in front up to six digits."""
_MAX_EVENTS = 1_000_000
_DAMAGED = f"does not match its checksum in {layout.MANIFEST}: it was damaged or changed"


@dataclass(frozen=True, slots=True)
class CheckedEnding:
    """Content of ``result.json``, checked against the schedule."""

    status: str
    edits: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class CheckedRun:
    """A run folder's checked content; what could not be used is in ``problems``."""

    run_id: str
    digest: str
    spec: RunSpec
    segments: list[dict[str, Any]]
    events: list[tuple[int, dict[str, Any]]]
    """Line number from 1 → the event."""
    ending: CheckedEnding | None
    cases: pa.Table
    probes: pa.Table
    checkpoints: dict[int, dict[str, pa.Table]]
    """Edits → the tables of a score folder by file name, the optional ones where the spec asks for them; ascending."""
    problems: list[Problem] = field(default_factory=list)


def folder_digest(folder: Path) -> str:
    """SHA-256 over what `read_run_folder` reads; score tables enter through the checksums in their manifests.

    Raises:
        Invalid: a file is no plain file or too large.
    """
    digest = hashlib.sha256(f"ingest {INGEST_VERSION}\n".encode())
    scores = (f"{layout.SCORES}/{name}/{MANIFEST}" for name in score_names(folder))
    names = [*TOP_FILES, PACKED_JOURNAL, layout.MANIFEST, *scores]
    for name in names:
        path = folder / name
        if path.exists() or path.is_symlink():
            try:
                content = hashlib.sha256(read_bytes(path, BYTES_TABLE)).hexdigest()
            except Invalid as error:
                content = str(error)
            digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()


def read_run_folder(folder: Path, digest: str) -> CheckedRun:
    """Read and check the run in ``folder``.

    Raises:
        Invalid: nothing of it can be used; the message begins with the file's name.
    """
    spec = _read_spec(folder)
    problems: list[Problem] = []
    damaged = _damaged(folder)
    for name in damaged:
        if name in layout.DESCRIBING:
            raise Invalid(f"{name} {_DAMAGED}")
        problems.append(Problem(str(folder / name), _DAMAGED))
    cases, probes = _read_texts(folder, spec)
    return CheckedRun(
        run_id=folder.name,
        digest=digest,
        spec=spec,
        segments=_read_segments(folder, problems),
        events=_read_events(folder, problems),
        ending=_read_ending(folder, spec, problems) if layout.RESULT not in damaged else None,
        cases=cases,
        probes=probes,
        checkpoints=_read_checkpoints(folder, spec, cases, probes, problems),
        problems=problems,
    )


def _read_spec(folder: Path) -> RunSpec:
    if not RUN_ID.fullmatch(folder.name):
        raise Invalid("the folder's name must be a run id: 12 hexadecimal digits")
    if folder.is_symlink() or not folder.is_dir():
        raise Invalid("is not a folder of its own")
    try:
        data = read_bytes(folder / layout.SPEC, BYTES_JSON)
        parse_object(data)
        spec = RunSpec.model_validate_json(data)
    except Invalid as error:
        raise Invalid(f"spec.json {error}") from error
    except ValidationError as error:
        where = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:10])
        raise Invalid(f"spec.json is not a valid spec: {clean_text(where, 1000)}") from error
    if spec.id != folder.name:
        raise Invalid(f"spec.json belongs to run {spec.id}: the spec was changed or the folder renamed")
    return spec


def _read_texts(folder: Path, spec: RunSpec) -> tuple[pa.Table, pa.Table]:
    if (folder / SEAL).is_file() and not any(os.path.lexists(folder / name) for name in TEXT_FILES):
        return made_texts(spec)
    tables = []
    for name, schema in ((layout.CASES, layout.CASE_COLUMNS), (layout.PROBES, layout.PROBE_COLUMNS)):
        try:
            tables.append(parse_table(read_bytes(folder / name, BYTES_TABLE), schema))
        except Invalid as error:
            raise Invalid(f"{name} {error}") from error
    check_cases(tables[0], tables[1], spec)
    return tables[0], tables[1]


def _damaged(folder: Path) -> list[str]:
    """Files of a run that are not what its manifest says, which older runs lack.

    Raises:
        Invalid: the manifest cannot be read.
    """
    path = folder / layout.MANIFEST
    if not (path.exists() or path.is_symlink()):
        return []
    try:
        files = parse_object(read_bytes(path, BYTES_JSON)).get("files")
    except Invalid as error:
        raise Invalid(f"{layout.MANIFEST} {error}") from error
    stated = files if isinstance(files, dict) else {}
    names = (*layout.DESCRIBING, *(name for name in layout.SEALED if name in stated))
    return [name for name in names if _differs(folder / name, stated.get(name))]


def _differs(path: Path, stated: object) -> bool:
    """True for a file with another checksum than is stated; a journal may have grown."""
    try:
        data = read_bytes(path, BYTES_TABLE)
    except Invalid:
        return False  # told where it is read
    if not isinstance(stated, dict):
        return True
    size = whole(stated.get("bytes")) if path.name == layout.JOURNAL else None
    return bool(stated.get("sha256") != hashlib.sha256(data[:size]).hexdigest())


def _read_segments(folder: Path, problems: list[Problem]) -> list[dict[str, Any]]:
    path = folder / layout.ENVIRONMENT
    try:
        segments = parse_object(read_bytes(path, BYTES_JSON)).get("segments")
        if not isinstance(segments, list) or not all(isinstance(segment, dict) for segment in segments):
            raise Invalid("must hold a list of segments")
    except Invalid as error:
        problems.append(Problem(str(path), str(error)))
        return []
    return segments[:1000]


def _read_events(folder: Path, problems: list[Problem]) -> list[tuple[int, dict[str, Any]]]:
    """The journal's lines; a torn last line is what a killed process leaves and no problem."""
    path = folder / layout.JOURNAL
    if (folder / SEAL).is_file() and not os.path.lexists(path) and os.path.lexists(folder / PACKED_JOURNAL):
        path = folder / PACKED_JOURNAL
    try:
        lines = read_journal(path).split(b"\n")
    except Invalid as error:
        problems.append(Problem(str(path), str(error)))
        return []
    events: list[tuple[int, dict[str, Any]]] = []
    bad = []
    for number, line in enumerate(lines[:_MAX_EVENTS], start=1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            event = None
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            events.append((number, event))
        elif number < len(lines):
            bad.append(number)
    if bad:
        problems.append(Problem(str(path), f"{len(bad)} unreadable lines were left out, the first is line {bad[0]}"))
    return events


def read_journal(path: Path) -> bytes:
    """The lines of a journal, which is packed if its name says so.

    Raises:
        Invalid: it cannot be read within bounds.
    """
    return (read_packed if path.name == PACKED_JOURNAL else read_bytes)(path, BYTES_JOURNAL)


def _read_ending(folder: Path, spec: RunSpec, problems: list[Problem]) -> CheckedEnding | None:
    path = folder / layout.RESULT
    if not (path.exists() or path.is_symlink()):
        return None
    try:
        result = parse_object(read_bytes(path, BYTES_JSON))
        status, edits = result.get("status"), whole(result.get("edits"))
        if not isinstance(status, str) or status not in ENDINGS:
            raise Invalid(f"status must be one of {sorted(ENDINGS)}, got {clean_text(status, NAME_LENGTH)!r}")
        if edits is None or edits > spec.schedule.edits or (status == "complete") != (edits == spec.schedule.edits):
            shown = clean_text(result.get("edits"), NAME_LENGTH)
            raise Invalid(f"{shown} edits do not fit the status {status} of a run of {spec.schedule.edits}")
        if edits % spec.schedule.batch_size and edits != spec.schedule.edits:
            raise Invalid(f"{edits} edits lie within a batch; a run stands at the end of one")
        reason = result.get("reason")
        if status != "complete" and not (isinstance(reason, str) and reason.strip()):
            raise Invalid(f"the status {status} needs a reason")
    except Invalid as error:
        problems.append(Problem(str(path), f"{error}; the run counts as not finished"))
        return None
    return CheckedEnding(status, edits, clean_text(reason, 1000) if isinstance(reason, str) else None)


def has_ended(folder: Path) -> bool:
    """True for a run that is complete or collapsed, as its ``result.json`` says."""
    try:
        status = parse_object(read_bytes(folder / layout.RESULT, BYTES_JSON)).get("status")
    except Invalid:
        return False
    return status in ENDED


def score_names(folder: Path) -> list[str]:
    """Names of the score folders of a run, ascending."""
    scores = folder / layout.SCORES
    if scores.is_symlink() or not scores.is_dir():
        return []
    return sorted(path.name for path in scores.iterdir() if CHECKPOINT.fullmatch(path.name))


def _read_checkpoints(
    folder: Path, spec: RunSpec, cases: pa.Table, probes: pa.Table, problems: list[Problem]
) -> dict[int, dict[str, pa.Table]]:
    found: dict[int, dict[str, pa.Table]] = {}
    for name in score_names(folder):
        path, edits = folder / layout.SCORES / name, int(name)
        try:
            if edits not in spec.schedule.checkpoints or name != layout.position(edits) or path.is_symlink():
                raise Invalid("is not a checkpoint of the run's schedule")
            tables = read_score_folder(path, edits)
            check_scores(tables, edits, cases, probes, spec)
            check_texts(tables, edits, cases, probes, spec)
            found[edits] = tables
        except Invalid as error:
            problems.append(Problem(str(path), f"{error}; this checkpoint was left out"))
    return found
