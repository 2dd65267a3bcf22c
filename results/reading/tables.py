"""Checks of what a run folder holds: sizes, checksums, columns, and whether the outcomes fit the run's schedule.

Nothing in a run folder is trusted: it may be damaged, half written, or made by somebody who means harm. Files are read
once into memory, within bounds; what was checked is what is used.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from palimpsest.harness.runs.score_files import CONTINUATIONS, TEXTS
from palimpsest.harness.specs.cases import ProbeKind
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.harness.specs.windows import WINDOWS, choose_windows
from palimpsest.harness.system.strict_json import JsonProblem, parse
from palimpsest.results.reading.cleaning import NAME_LENGTH, TEXT_LENGTH, clean_text

BYTES_JSON = 8_000_000
BYTES_JOURNAL = 256_000_000
BYTES_TABLE = 512_000_000
ROWS_TABLE = 20_000_000
_UNPACKED_TABLE = 4_000_000_000

PROBE_KINDS = frozenset(get_args(ProbeKind))
_LATER_WINDOWS = ("first_1000", "last_1000")


class Problem(NamedTuple):
    """Something in a run folder that was left out, and why."""

    path: str
    message: str


class Invalid(ValueError):
    """One file or folder cannot be used; the message says why, without its path."""


def _needed(**columns: pa.DataType) -> list[pa.Field]:
    return [pa.field(name, kind, nullable=False) for name, kind in columns.items()]


_LATER = {"since": "later"}
"""Marks columns that older run folders lack; they are read as empty."""
_TARGETS = _needed(prompt=pa.string(), target_new=pa.string(), target_true=pa.string())
_PROBE = _needed(case_id=pa.int64(), position=pa.int32(), kind=pa.string(), index=pa.int32())
CASES = pa.schema([*_needed(position=pa.int32(), case_id=pa.int64(), subject=pa.string()), *_TARGETS])
PROBES = pa.schema([*_needed(case_id=pa.int64(), kind=pa.string(), index=pa.int32()), *_TARGETS])
SCORES: Mapping[str, pa.Schema] = {
    "probes.parquet": pa.schema(
        [
            *_PROBE,
            pa.field("nll_new", pa.float64()),
            pa.field("nll_true", pa.float64()),
            *_needed(tokens_new=pa.int32(), tokens_true=pa.int32(), hits_new=pa.int32(), hits_true=pa.int32()),
            *_needed(exact_new=pa.bool_(), exact_true=pa.bool_()),
            *_needed(**{f"window_{name}": pa.bool_() for name in WINDOWS if name not in _LATER_WINDOWS}),
            *(pa.field(f"window_{name}", pa.bool_(), metadata=_LATER) for name in _LATER_WINDOWS),
            pa.field("tokens_top", pa.int32(), metadata=_LATER),
            pa.field("hits_top", pa.int32(), metadata=_LATER),
            pa.field("exact_top", pa.bool_(), metadata=_LATER),
        ]
    ),
    "answers.parquet": pa.schema([*_PROBE, *_needed(prompt=pa.string(), text=pa.string())]),
    "abilities.parquet": pa.schema(
        [
            *_needed(ability=pa.string(), metric=pa.string(), chance=pa.float64(), item=pa.int32(), correct=pa.bool_()),
            pa.field("items_hash", pa.string(), metadata=_LATER),
            pa.field("predicted", pa.int32(), metadata=_LATER),
            pa.field("label", pa.int32(), metadata=_LATER),
            pa.field("log_likelihood", pa.float64(), metadata=_LATER),
            pa.field("words", pa.int32(), metadata=_LATER),
        ]
    ),
    "diagnostics.parquet": pa.schema(
        [*_needed(name=pa.string()), pa.field("layer", pa.int32()), pa.field("value", pa.float64())]
    ),
}
"""File in a score folder → its columns. More columns may be there; they are left out."""
OPTIONAL: Mapping[str, pa.Schema] = {
    TEXTS: pa.schema([*_PROBE, *_needed(text=pa.string(), tokens=pa.int32())]),
    CONTINUATIONS: pa.schema([*_PROBE, *_needed(text=pa.string(), tokens=pa.list_(pa.int32()))]),
}
"""The same for files that only some specs ask for."""
_NAMES = frozenset({"kind", "ability", "metric", "name"})


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most ``limit`` bytes.

    Raises:
        Invalid: it is missing, a link, no file, too large, or unreadable.
    """
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise Invalid("is not a plain file")
        if status.st_size > limit:
            raise Invalid(f"has {status.st_size} bytes, more than the {limit} that are read")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError as error:
        raise Invalid("is missing") from error
    except OSError as error:
        raise Invalid(f"cannot be read: {error.strerror}") from error
    if len(data) > limit:
        raise Invalid(f"has more than {limit} bytes")
    return data


def parse_object(data: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        Invalid: it is none.
    """
    try:
        value = parse(data)
    except JsonProblem as error:
        raise Invalid(f"is {clean_text(error, NAME_LENGTH)}") from error
    if not isinstance(value, dict):
        raise Invalid(f"must hold a JSON object, got {type(value).__name__}")
    return value


def parse_table(data: bytes, schema: pa.Schema) -> pa.Table:
    """The columns of ``schema`` from the bytes of a Parquet file, cast and with all texts cleaned.

    Raises:
        Invalid: no Parquet, too many rows, a missing column, a wrong type, or empty fields where none may be.
    """
    try:
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


def _clean_column(column: pa.ChunkedArray, limit: int) -> pa.Array:
    packed = pa.chunked_array(column.chunks, pa.string()).combine_chunks().dictionary_encode()
    texts = pa.array([clean_text(text, limit) for text in packed.dictionary.to_pylist()], pa.string())
    return texts.take(packed.indices)


def read_score_folder(folder: Path, edits: int) -> dict[str, pa.Table]:
    """The tables of one scored checkpoint, after checking its manifest; the optional ones if it lists them.

    Raises:
        Invalid: the manifest is missing or does not fit the files, or a table cannot be used.
    """
    try:
        manifest = parse_object(read_bytes(folder / "manifest.json", BYTES_JSON))
    except Invalid as error:
        raise Invalid(f"manifest.json {error}") from error
    if manifest.get("format") != 1 or manifest.get("edits") != edits:
        raise Invalid(f"manifest.json must have format 1 and edits {edits}")
    files = manifest.get("files")
    if not isinstance(files, dict):
        raise Invalid("manifest.json lacks the table of files")
    tables = {}
    listed = {name: schema for name, schema in OPTIONAL.items() if name in files}
    for name, schema in {**SCORES, **listed}.items():
        try:
            data = read_bytes(folder / name, BYTES_TABLE)
            stated = files.get(name)
            found = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            if not isinstance(stated, dict) or any(stated.get(key) != value for key, value in found.items()):
                raise Invalid("does not match its size or checksum in the manifest: it was damaged or changed")
            tables[name] = parse_table(data, schema)
        except Invalid as error:
            raise Invalid(f"{name} {error}") from error
    return tables


def check_cases(cases: pa.Table, probes: pa.Table, spec: RunSpec) -> None:
    """Whether the cases are those of a schedule: every position once, distinct ids, probes of known cases.

    Raises:
        Invalid: they are not.
    """
    positions, ids = _column(cases, "position"), _column(cases, "case_id")
    if not np.array_equal(np.sort(positions), np.arange(spec.schedule.edits)):
        raise Invalid(f"cases.parquet must hold the positions 0 to {spec.schedule.edits - 1}, each once")
    if np.unique(ids).size != ids.size:
        raise Invalid("cases.parquet holds a case_id twice")
    if not np.isin(_column(probes, "case_id"), ids).all():
        raise Invalid("probes.parquet has probes of cases that are not in cases.parquet")
    _check_keys("probes.parquet", probes)


def check_scores(tables: Mapping[str, pa.Table], edits: int, cases: pa.Table, spec: RunSpec) -> None:
    """Whether the tables of one checkpoint fit the schedule and make sense.

    Raises:
        Invalid: a probe of an unknown or not yet edited case, one scored twice, impossible counts, or fewer or more
            cases in a window than the spec says.
    """
    order = np.empty(len(cases), dtype=np.int64)
    order[_column(cases, "position")] = _column(cases, "case_id")
    for name in ("probes.parquet", "answers.parquet", *(name for name in OPTIONAL if name in tables)):
        position = _column(tables[name], "position")
        if position.size and (position.min() < 0 or position.max() >= order.size):
            raise Invalid(f"{name} has a position outside the schedule")
        if not np.array_equal(order[position], _column(tables[name], "case_id")):
            raise Invalid(f"{name} has a case_id that is not at its position in cases.parquet")
        _check_keys(name, tables[name])
    _check_outcomes(tables["probes.parquet"])
    _check_windows(tables["probes.parquet"], edits, spec)
    _check_abilities(tables["abilities.parquet"], spec)


def _check_keys(name: str, table: pa.Table) -> None:
    unknown = set(pc.unique(table["kind"]).to_pylist()) - PROBE_KINDS
    if unknown:
        raise Invalid(f"{name} has probes of unknown kind {sorted(unknown)[0]!r}")
    groups = table.group_by(["case_id", "kind", "index"]).aggregate([([], "count_all")])
    if len(groups) != len(table):
        raise Invalid(f"{name} has a probe twice")


def _check_outcomes(table: pa.Table) -> None:
    for target in ("new", "true", "top"):
        tokens, hits = filled(table, f"tokens_{target}"), filled(table, f"hits_{target}")
        if ((tokens < 0) | (hits < 0) | (hits > tokens)).any():
            raise Invalid(f"probes.parquet has counts of hits_{target} that are not between 0 and tokens_{target}")
        if (filled(table, f"exact_{target}") & (hits != tokens)).any():
            raise Invalid(f"probes.parquet calls a target exact of which tokens were missed (exact_{target})")


def _check_windows(table: pa.Table, edits: int, spec: RunSpec) -> None:
    position = _column(table, "position")
    main = "all" if edits else "planned"
    chosen = choose_windows(spec.schedule.edits, spec.scoring, edits)
    scored: dict[str, int] = {}
    for window in WINDOWS:
        inside = position[filled(table, f"window_{window}")]
        scored[window] = np.unique(inside).size
        if window in _LATER_WINDOWS and inside.size and np.unique(inside).tolist() != chosen.get(window):
            raise Invalid(f"probes.parquet has other cases in the window {window} than the seed chooses")
        if window not in chosen and inside.size:
            raise Invalid(f"probes.parquet has the window {window}, which does not exist at {edits} edits")
        if edits and inside.size and inside.max() >= edits:
            raise Invalid(f"probes.parquet counts cases as edited that come after {edits} edits (window {window})")
    total = edits or spec.schedule.edits
    wanted = min(total, spec.scoring.sample or total)
    if scored[main] != wanted:
        raise Invalid(f"probes.parquet has {scored[main]} cases in the window {main}, the spec asks for {wanted}")


def _check_abilities(table: pa.Table, spec: RunSpec) -> None:
    expected = {clean_text(ability.name, NAME_LENGTH) for ability in spec.abilities}
    found = set(pc.unique(table["ability"]).to_pylist())
    if found != expected:
        raise Invalid(f"abilities.parquet must hold the tasks {sorted(expected)}, got {sorted(found)}")
    chance = _column(table, "chance")
    if not ((chance >= 0) & (chance < 1)).all():
        raise Invalid("abilities.parquet has a chance level that is not between 0 and 1")
    labels = table.filter(pc.and_(pc.is_valid(table["label"]), pc.is_valid(table["predicted"])))
    if not pc.all(pc.equal(labels["correct"], pc.equal(labels["label"], labels["predicted"]))).as_py() and len(labels):
        raise Invalid("abilities.parquet calls items right or wrong against their labels")
    if len(table.group_by(["ability", "item"]).aggregate([([], "count_all")])) != len(table):
        raise Invalid("abilities.parquet has an item twice")
    if len(table.group_by(["ability", "metric", "chance"]).aggregate([([], "count_all")])) != len(found):
        raise Invalid("abilities.parquet has a task with several metrics or chance levels")


def filled(table: pa.Table, name: str) -> NDArray[Any]:
    """A column of counts or truth values; what is empty, since older runs lack the column, is 0 or false."""
    column = table[name]
    empty = pa.scalar(False if pa.types.is_boolean(column.type) else 0, column.type)
    values: NDArray[Any] = pc.fill_null(column, empty).to_numpy()
    return values


def _column(table: pa.Table, name: str) -> NDArray[Any]:
    values: NDArray[Any] = table[name].to_numpy()
    return values
