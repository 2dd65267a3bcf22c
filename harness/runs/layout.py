"""The files of a run folder: every name, and the columns of every table, stated once for the writer and all readers."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from palimpsest.harness.specs.windows import WINDOWS
from palimpsest.harness.system.atomic_files import write_folder

if TYPE_CHECKING:
    from palimpsest.harness.specs.cases import Case
    from palimpsest.harness.specs.run_spec import RunSpec

RUNS = "runs"
"""Folder of all runs in a home; each run has the folder of its id in it."""

SPEC = "spec.json"
CASES = "cases.parquet"
PROBES = "probes.parquet"
"""Texts of the probes in the run's folder; their outcomes in a score folder."""
JOURNAL = "events.jsonl"
ENVIRONMENT = "environment.json"
RESULT = "result.json"
LOCK = "lock"
MANIFEST = "manifest.json"
"""In the run's folder the checksums of `DESCRIBING` and `SEALED`; in a score folder or save those of its files."""
DESCRIBING = (SPEC, CASES, PROBES)
"""Files that say what a run is; they are the same from its beginning on."""
SEALED = (ENVIRONMENT, RESULT, JOURNAL)
"""Files whose checksums are written when a run has ended; of the journal for as many bytes as it had then."""

SCORES = "scores"
"""Folder of the score folders, one for each checkpoint; see `position`."""
ANSWERS = "answers.parquet"
ABILITIES = "abilities.parquet"
DIAGNOSTICS = "diagnostics.parquet"
TEXTS = "texts.parquet"
"""Sampled texts, where the spec asks for them."""
CONTINUATIONS = "continuations.parquet"
"""Words of the unedited model; at 0 edits, where the spec asks for it."""
SCORE_FILES = (PROBES, ANSWERS, ABILITIES, DIAGNOSTICS)
"""Files that every score folder holds."""

SAVES = "checkpoints"
"""Folder of the saves, one for each; see `position`."""
WEIGHTS = "weights.safetensors"
STATE = "state.safetensors"
TRACKER = "diagnostics.safetensors"
"""Tensors that the diagnostics keep; left out where there is nothing."""

LATER = {"since": "later"}
"""Metadata of columns that older run folders lack."""


def position(edits: int) -> str:
    """Name of the folder of a save or of scores after this many edits."""
    return f"{edits:06d}"


def score_files(spec: RunSpec, edits: int) -> tuple[str, ...]:
    """Names of all files of a run's score folder at this many edits."""
    texts = (TEXTS,) if spec.scoring.generation.cases else ()
    continuations = (CONTINUATIONS,) if spec.scoring.top and not edits else ()
    return (*SCORE_FILES, *texts, *continuations)


def _full(**columns: pa.DataType) -> list[pa.Field]:
    """Columns that are never empty."""
    return [pa.field(name, kind, nullable=False) for name, kind in columns.items()]


def _later(**columns: pa.DataType) -> list[pa.Field]:
    """Columns that may be missing or empty."""
    return [pa.field(name, kind, metadata=LATER) for name, kind in columns.items()]


_LATER_WINDOWS = ("first_1000", "last_1000")
_TEXTS = _full(prompt=pa.string(), target_new=pa.string(), target_true=pa.string())
_PROBE = _full(case_id=pa.int64(), position=pa.int32(), kind=pa.string(), index=pa.int32())

CASE_COLUMNS = pa.schema([*_full(position=pa.int32(), case_id=pa.int64(), subject=pa.string()), *_TEXTS])
"""`CASES`: the requests in edit order."""
PROBE_COLUMNS = pa.schema([*_full(case_id=pa.int64(), kind=pa.string(), index=pa.int32()), *_TEXTS])
"""`PROBES` in the run's folder: the probes of all cases in edit order."""
SCORE_COLUMNS: Mapping[str, pa.Schema] = {
    PROBES: pa.schema(
        [
            *_PROBE,
            pa.field("nll_new", pa.float64()),
            pa.field("nll_true", pa.float64()),
            *_full(tokens_new=pa.int32(), tokens_true=pa.int32(), hits_new=pa.int32(), hits_true=pa.int32()),
            *_full(exact_new=pa.bool_(), exact_true=pa.bool_()),
            *_later(tokens_top=pa.int32(), hits_top=pa.int32(), exact_top=pa.bool_()),
            *_later(nll_fed=pa.float64(), tokens_fed=pa.int32(), hits_fed=pa.int32(), hits_first=pa.int32()),
            *_full(**{f"window_{name}": pa.bool_() for name in WINDOWS if name not in _LATER_WINDOWS}),
            *_later(**{f"window_{name}": pa.bool_() for name in _LATER_WINDOWS}),
        ]
    ),
    ANSWERS: pa.schema([*_PROBE, *_full(prompt=pa.string(), text=pa.string())]),
    ABILITIES: pa.schema(
        [
            *_full(ability=pa.string(), metric=pa.string(), chance=pa.float64()),
            *_later(items_hash=pa.string()),
            *_full(item=pa.int32(), correct=pa.bool_()),
            *_later(predicted=pa.int32(), label=pa.int32(), log_likelihood=pa.float64(), words=pa.int32()),
            *_later(score=pa.float64()),
        ]
    ),
    DIAGNOSTICS: pa.schema([*_full(name=pa.string()), pa.field("layer", pa.int32()), pa.field("value", pa.float64())]),
}
"""File in every score folder → its columns."""
OPTIONAL_COLUMNS: Mapping[str, pa.Schema] = {
    TEXTS: pa.schema([*_PROBE, *_full(text=pa.string(), tokens=pa.int32()), *_later(spelt=pa.string())]),
    CONTINUATIONS: pa.schema(
        [
            *_PROBE,
            *_full(text=pa.string(), tokens=pa.list_(pa.int32())),
            *_later(first_choices=pa.list_(pa.int32())),
        ]
    ),
}
"""The same for files that only some specs ask for."""


def table(schema: pa.Schema, columns: Mapping[str, Any]) -> pa.Table:
    """A table to be written, its columns in the order of the schema; only columns marked `LATER` may be left out."""
    written = [field for field in schema if field.name in columns or not field.metadata]
    return pa.table({field.name: pa.array(columns[field.name], field.type) for field in written})


def case_table(cases: Sequence[Case]) -> pa.Table:
    """The table `CASES`.

    Args:
        cases: Those of the schedule, in edit order.
    """
    requests = [case.request for case in cases]
    names = ("case_id", "subject", "prompt", "target_new", "target_true")
    columns = {name: [getattr(request, name) for request in requests] for name in names}
    return table(CASE_COLUMNS, {"position": range(len(cases)), **columns})


def probe_table(cases: Sequence[Case]) -> pa.Table:
    """The table `PROBES` of a run's folder, for the same cases."""
    pairs = [(case.request.case_id, probe) for case in cases for probe in case.probes]
    names = ("kind", "index", "prompt", "target_new", "target_true")
    columns = {name: [getattr(probe, name) for _, probe in pairs] for name in names}
    return table(PROBE_COLUMNS, {"case_id": [case_id for case_id, _ in pairs], **columns})


def packed(content: pa.Table) -> bytes:
    """A table as Parquet; the same columns give the same bytes, whether they were just made or read back."""
    stream = io.BytesIO()
    wide = [field.name for field in content.schema if pa.types.is_floating(field.type)]  # hardly two are the same
    others = [name for name in content.column_names if name not in wide]
    how: dict[str, Any] = {"compression": "zstd", "compression_level": 12, "write_statistics": False}
    how |= {"store_schema": False}  # Parquet's own types say the same, and the files are many and small
    pq.write_table(content.combine_chunks(), stream, use_dictionary=others, use_byte_stream_split=wide, **how)
    return stream.getvalue()


def write_tables(place: Path, tables: Mapping[str, pa.Table], *, edits: int, **facts: str) -> None:
    """Write a folder of tables, by file name; raises as `write_folder`."""
    files = {name: packed(content) for name, content in tables.items()}
    with write_folder(place, edits=edits, bytes_needed=sum(map(len, files.values())), **facts) as partial:
        for name, data in files.items():
            (partial / name).write_bytes(data)


def read_table(path: Path) -> pa.Table:
    """The table in a file of ours, as it was when it was written.

    Raises:
        OSError: It cannot be read.
        pyarrow.ArrowException: It is no Parquet file.
    """
    content = pq.ParquetFile(path).read()
    # Parquet names the elements of lists otherwise than Arrow does.
    kinds = [pa.list_(kind.value_type) if pa.types.is_list(kind) else kind for kind in content.schema.types]
    return content.cast(pa.schema(zip(content.column_names, kinds, strict=True)))
