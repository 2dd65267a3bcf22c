"""The closed list of what a bundle holds: files, columns, entries, and no more bytes than these take.

A Parquet file can carry bytes that no reader looks at, and JSON any number of spaces. So each file may be at most about
twice as large as its content is when it is written anew.
"""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from palimpsest.harness.runs import layout
from palimpsest.harness.specs.cases import SCORED_KINDS
from palimpsest.harness.specs.windows import choose_answered
from palimpsest.results.reading.bounded_files import BYTES_JSON, BYTES_TABLE, read_bytes
from palimpsest.results.reading.foreign_json import parse_object
from palimpsest.results.reading.problems import Invalid
from palimpsest.results.reading.run_folder import CHECKPOINT, PACKED_JOURNAL, CheckedRun, read_journal
from palimpsest.results.reading.tables import values_of
from palimpsest.results.submissions.bundle import MANIFEST, MAX_BYTES, bundle_files, is_bundle_file

Found = Iterator[tuple[str, str]]
"""(file, what is wrong with it)."""
_MAX_FILES = 5_000
_SLACK_BYTES = 65_536
_LONGEST_LINE = 100_000
_METADATA = {b"ARROW:schema"}
_ENTRIES = {
    "result.json": {"status", "edits", "reason"},
    "environment.json": {"segments"},
    "manifest.json": {"format", "edits", "run", "files"},
}
"""Entries of JSON files whose content no model of ours closes."""


def check_tree(folder: Path, most_bytes: int = MAX_BYTES) -> Found:
    """Check that a bundle holds plain files and folders of the names that bundles have, within bounds."""
    total = 0
    for count, (path, name) in enumerate(walk(folder, ""), start=1):
        if count > _MAX_FILES:
            yield str(folder), f"holds more than {_MAX_FILES} files and folders"
            return
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            yield name, "is a link or no plain file"
        elif path.is_file():
            total += path.stat().st_size
            if name != MANIFEST and not is_bundle_file(name):
                yield name, "does not belong into a bundle"
        elif name != layout.SCORES and not _is_score_folder(name):
            yield name, "is a folder that does not belong into a bundle"
        elif not any(path.iterdir()):
            yield name, "is an empty folder"
    if total > most_bytes:
        yield str(folder), f"has {total} bytes, more than the {most_bytes} of a bundle"


def _is_score_folder(name: str) -> bool:
    return name.startswith(f"{layout.SCORES}/") and CHECKPOINT.fullmatch(name.removeprefix("scores/")) is not None


def walk(folder: Path, inside: str) -> Iterator[tuple[Path, str]]:
    """Everything below a folder, a few levels deep, with its path inside; links are not followed."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = f"{inside}{entry.name}"
            yield Path(entry.path), name
            if entry.is_dir(follow_symlinks=False) and name.count("/") < 3:
                yield from walk(Path(entry.path), f"{name}/")


def surplus(folder: Path, run: CheckedRun) -> Found:
    """Files, columns, entries and bytes beyond those of a bundle of this run; missing ones are found elsewhere."""
    wanted = {*bundle_files(run.spec, run.spec.schedule.checkpoints), MANIFEST}
    if not (folder / layout.JOURNAL).exists():
        wanted.add(PACKED_JOURNAL)
    for path, name in walk(folder, ""):
        if not path.is_file():
            continue
        if name not in wanted:
            yield name, "belongs to no checkpoint of this run, or is not asked for by its spec"
            continue
        try:
            if name.endswith(".parquet"):
                _check_table(path, name)
            elif name in (layout.JOURNAL, PACKED_JOURNAL):
                _check_journal(path)
            else:
                _check_json(path)
        except Invalid as error:
            yield name, str(error)


def _check_table(path: Path, name: str) -> None:
    data = read_bytes(path, BYTES_TABLE)
    columns = {layout.CASES: layout.CASE_COLUMNS, layout.PROBES: layout.PROBE_COLUMNS}.get(name)
    if columns is None:
        columns = {**layout.SCORE_COLUMNS, **layout.OPTIONAL_COLUMNS}[path.name]
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        unknown = sorted(set(file.schema_arrow.names) - set(columns.names))
        if unknown or len(file.schema_arrow.names) != len(set(file.schema_arrow.names)):
            raise Invalid(f"has columns that no run writes: {', '.join(unknown)[:100] or 'one of them twice'}")
        if set(file.metadata.metadata or ()) - _METADATA:
            raise Invalid("carries metadata that no run writes")
        stream = io.BytesIO()
        pq.write_table(file.read(), stream, compression="zstd")
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, Invalid):
            raise
        return  # no table: told where it is read
    _check_size(len(data), stream.tell())


def _check_json(path: Path) -> None:
    data = read_bytes(path, 4 * BYTES_JSON)
    value = parse_object(data)
    unknown = sorted(set(value) - _ENTRIES.get(path.name, set(value)))
    if unknown:
        raise Invalid(f"has the entry {unknown[0][:100]!r}, which no run writes")
    _check_size(len(data), len(json.dumps(value, indent=2)))


def _check_journal(path: Path) -> None:
    data = read_journal(path)
    if path.name == PACKED_JOURNAL:
        _check_size(path.stat().st_size, len(gzip.compress(data)))
    if not data.endswith(b"\n"):
        raise Invalid("ends within a line")
    for number, line in enumerate(data.split(b"\n"), start=1):
        if len(line) > _LONGEST_LINE:
            raise Invalid(f"has more than {_LONGEST_LINE} bytes in line {number}")


def _check_size(found: int, needed: int) -> None:
    if found > 2 * needed + _SLACK_BYTES:
        raise Invalid(f"has {found} bytes, though its content takes about {needed}: it carries something else")


def check_answers(run: CheckedRun) -> Found:
    """Check that the answers of every checkpoint are of the cases and prompts that the seed chooses."""
    chosen = choose_answered(run.spec.schedule.edits, run.spec.scoring.seed)
    order = dict(zip(run.cases["position"].to_pylist(), run.cases["case_id"].to_pylist(), strict=True))
    ids = pa.array([order[position] for position in chosen], pa.int64())
    first = run.probes.filter(
        pc.and_(pc.equal(run.probes["index"], 0), pc.is_in(run.probes["kind"], value_set=pa.array(SCORED_KINDS)))
    )
    wanted = _prompts(first.filter(pc.is_in(first["case_id"], value_set=ids)))
    for edits, tables in run.checkpoints.items():
        if _prompts(tables[layout.ANSWERS]) != wanted:
            place = f"{layout.SCORES}/{layout.position(edits)}/{layout.ANSWERS}"
            yield (
                place,
                f"must hold {len(wanted)} answers, to the first prompt of each kind of the cases the seed chooses",
            )


def _prompts(table: pa.Table) -> dict[tuple[int, str, int], str]:
    keys = zip(table["case_id"].to_pylist(), table["kind"].to_pylist(), values_of(table, "index").tolist(), strict=True)
    return dict(zip(keys, table["prompt"].to_pylist(), strict=True))


def check_windows_are_there(run: CheckedRun) -> Found:
    """Check that no window is left empty as in runs from before it existed."""
    for edits, tables in run.checkpoints.items():
        for name in ("window_first_1000", "window_last_1000"):
            if edits > 1000 and tables[layout.PROBES][name].null_count:
                place = f"{layout.SCORES}/{layout.position(edits)}/{layout.PROBES}"
                yield place, f"lacks the column {name}"
