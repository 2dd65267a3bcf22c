"""A submission: what a finished run measured, without its weights, sealed by a manifest.

A bundle is a folder named after its run. It holds the run folder's own files, but for texts that a task of ours makes
anyway, so that whatever reads run folders reads bundles, and ``bundle.json`` on top: who made the result with what,
every file's size and SHA-256, and the means that the submitter's own machine computed, which a checker computes again
from the rows of every single case.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, ValidationError

from palimpsest.harness.errors import ConfigError, RunFailed, UsageError
from palimpsest.harness.runs import layout
from palimpsest.harness.runs.layout import OPTIONAL_COLUMNS, SCORE_COLUMNS, SCORES, position, score_files
from palimpsest.harness.runs.reading import ENDED
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.harness.system.atomic_files import atomic_write_bytes, sync_folder
from palimpsest.harness.system.strict import Strict
from palimpsest.results.analysis.aggregate import Aggregates, aggregate_run
from palimpsest.results.reading.bounded_files import BYTES_JSON, read_bytes
from palimpsest.results.reading.cleaning import clean_text
from palimpsest.results.reading.made_texts import TEXT_FILES, are_made_here, made_texts
from palimpsest.results.reading.problems import Invalid
from palimpsest.results.reading.run_folder import (
    CHECKPOINT,
    PACKED_JOURNAL,
    SEAL,
    TOP_FILES,
    CheckedRun,
    folder_digest,
    read_run_folder,
)
from palimpsest.results.submissions.editor_sources import EditorSource
from palimpsest.results.submissions.origins import Origin, origin_of

MANIFEST = SEAL
FORMAT = 1
SCORE_FOLDER_FILES = frozenset({*SCORE_COLUMNS, *OPTIONAL_COLUMNS, "manifest.json"})
MAX_BYTES = 200_000_000
"""Bytes of a whole bundle; a pocket run has about 0.2 MB, 2,000 CounterFact edits about 20 MB."""

LONG_JOURNAL = 65_536
"""Bytes up to which a journal stays a text; 500 edits in batches of 50 take 8,000, one at a time 340,000."""


class File(Strict):
    """Size and checksum of one file."""

    bytes: int = Field(ge=0, le=MAX_BYTES)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Source(Strict):
    """Origin of one editor's code; see `palimpsest.results.submissions.editor_sources.EditorSource`."""

    name: str = Field(min_length=1, max_length=200)
    distribution: str = Field(min_length=1, max_length=200)
    version: str = Field(min_length=1, max_length=200)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    origin: Origin = "unknown"


class Mean(NamedTuple):
    """One aggregate; in ``bundle.json`` a list of these five, for a run has hundreds of them."""

    edits: Annotated[int, Field(ge=0)]
    window: Annotated[str, Field(max_length=20)]
    metric: Annotated[str, Field(max_length=200)]
    value: float | None
    n: Annotated[int, Field(ge=0)]


class Manifest(Strict):
    """Content of ``bundle.json``."""

    format: int
    run: str = Field(pattern=r"^[0-9a-f]{12}$")
    palimpsest_version: str = Field(min_length=1, max_length=100)
    note: str = Field(default="", max_length=2000)
    """The submitter's own words."""
    editors: tuple[Source, ...] = Field(min_length=1, max_length=8, strict=False)
    files: dict[str, File]
    means: tuple[Mean, ...] = Field(strict=False, max_length=1_000_000)
    totals: dict[str, float]
    """``checkpoint/table.column`` → sum of its finite numbers, or of the CRC-32 of its texts times their rows, from 1:
    what no mean rests on is in here. The tables of cases and probes have no checkpoint before their name."""


def write_bundle(run_folder: Path, out: Path, sources: Sequence[EditorSource], *, version: str, note: str = "") -> Path:
    """Seal a finished run as a bundle below ``out``; its folder.

    Args:
        run_folder: ``<home>/runs/<run id>``.
        out: Folder of submissions; the bundle is made in it under the run's id.
        sources: Of the run's editors.
        version: Palimpsest's.
        note: The submitter's own words.

    Raises:
        UsageError: There is no such run, or a bundle of it is there already.
        ConfigError: The run folder is damaged or not what its spec says; lists every problem.
        RunFailed: The run has not ended, or failed: there is nothing to submit.
    """
    run, aggregates = _finished(run_folder)
    place = out / run.run_id
    if place.exists():
        raise UsageError(f"{place} is there already. Remove it first if it is to be made again.")
    partial = out / f".{run.run_id}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        names = (needed_files if _has_made_texts(run) else bundle_files)(run.spec, run.checkpoints)
        contents = dict(_sealed(name, (run_folder / name).read_bytes()) for name in names)
        for name, data in contents.items():
            atomic_write_bytes(partial / name, data)
        manifest = Manifest(
            format=FORMAT,
            run=run.run_id,
            palimpsest_version=version,
            note=note,
            editors=tuple(Source(**asdict(source), origin=origin_of(source.distribution)) for source in sources),
            files={name: file_entry(partial / name) for name in contents},
            means=means(aggregates),
            totals=totals(run),
        )
        atomic_write_bytes(partial / MANIFEST, manifest.model_dump_json().encode() + b"\n")
        partial.rename(place)
        sync_folder(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return place


def needed_files(spec: RunSpec, checkpoints: Iterable[int]) -> list[str]:
    """`bundle_files` without the texts, where these follow from what ships; a journal may be `PACKED_JOURNAL`."""
    spared = TEXT_FILES if are_made_here(spec) else ()
    return [name for name in bundle_files(spec, checkpoints) if name not in spared]


def bundle_files(spec: RunSpec, checkpoints: Iterable[int]) -> list[str]:
    """Names of the files beside ``bundle.json`` that a bundle may have which is scored at these numbers of edits."""
    names = list(TOP_FILES)
    for edits in checkpoints:
        files = (*sorted(score_files(spec, edits)), "manifest.json")
        names += [f"{SCORES}/{position(edits)}/{name}" for name in files]
    return names


def means(aggregates: Aggregates) -> tuple[Mean, ...]:
    """All metrics of a run in a fixed order; diagnostics and intervals are not among them."""
    rows = sorted(aggregates.metrics, key=lambda row: (row.edits, row.window, row.metric))
    return tuple(
        Mean(edits=r.edits, window=r.window, metric=r.metric, value=r.interval.value, n=r.interval.n) for r in rows
    )


def totals(run: CheckedRun) -> dict[str, float]:
    """The sum of every column of every table; see `Manifest`."""
    named = {"cases": run.cases, "probes": run.probes}
    for edits, tables in run.checkpoints.items():
        named |= {f"{edits:06d}/{name.removesuffix('.parquet')}": table for name, table in tables.items()}
    return {f"{name}.{column}": _total(table[column]) for name, table in named.items() for column in table.column_names}


def _total(column: pa.ChunkedArray) -> float:
    if pa.types.is_list(column.type):
        column = pc.list_flatten(column)
    if pa.types.is_string(column.type):
        texts = pc.fill_null(column, "").combine_chunks().dictionary_encode()
        sums = np.array([zlib.crc32(text.encode()) for text in texts.dictionary.to_pylist()], dtype=np.uint64)
        rows = np.arange(1, len(column) + 1, dtype=np.uint64)
        # The sum wraps at 2⁶⁴, which 2⁵³ divides: what is left is that of the exact sum.
        return float((rows * sums[texts.indices.to_numpy()]).sum() % 2**53)
    values = column.cast(pa.float64()).drop_null().to_numpy()
    return float(values[np.isfinite(values)].sum())


def check_sealed(folder: Path, digest: str | None) -> str:
    """Check that a bundle is the one that the ledger names, and that what is read of it are the files of its manifest.

    Args:
        folder: of the bundle.
        digest: SHA-256 of its ``bundle.json`` by the ledger; None: the ledger does not say.

    Returns:
        The SHA-256 of its ``bundle.json``.

    Raises:
        Invalid: it was changed since it was included.
    """
    try:
        data = read_bytes(folder / MANIFEST, 4 * BYTES_JSON)
        manifest = Manifest.model_validate_json(data)
    except (Invalid, ValidationError) as error:
        reason = str(error) if isinstance(error, Invalid) else "is no manifest of a bundle"
        raise Invalid(f"{MANIFEST} {reason}") from error
    found = hashlib.sha256(data).hexdigest()
    if digest is not None and digest != found:
        raise Invalid(
            f"{MANIFEST} is not the one that the ledger includes ({digest[:12]}): the bundle was changed since. "
            "Withdraw the run, and include the bundle if it is good"
        )
    for name, stated in manifest.files.items():
        if not is_bundle_file(name):
            raise Invalid(f"{MANIFEST} lists {clean_text(name, 100)}, which does not belong into a bundle")
        content = read_bytes(folder / name, MAX_BYTES)
        if len(content) != stated.bytes or hashlib.sha256(content).hexdigest() != stated.sha256:
            raise Invalid(f"{name} does not match its size or checksum in {MANIFEST}: it was damaged or changed")
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name not in manifest.files and (is_bundle_file(name) or name == layout.MANIFEST):
            raise Invalid(f"{name} is not listed in {MANIFEST}: it was put there since")
    return found


def is_bundle_file(name: str) -> bool:
    """True for the relative paths of files that a bundle may hold beside ``bundle.json``."""
    if name in (*TOP_FILES, PACKED_JOURNAL):
        return True
    folder, _, inside = name.removeprefix("scores/").partition("/")
    return name.startswith("scores/") and CHECKPOINT.fullmatch(folder) is not None and inside in SCORE_FOLDER_FILES


def file_entry(path: Path) -> File:
    """Size and checksum of a file."""
    data = path.read_bytes()
    return File(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _finished(folder: Path) -> tuple[CheckedRun, Aggregates]:
    if not folder.is_dir():
        raise UsageError(f"There is no run {folder.name} in {folder.parent}. All: palimpsest list runs")
    try:
        run = read_run_folder(folder, folder_digest(folder))
    except Invalid as error:
        raise ConfigError(f"{folder}: {error}.") from error
    if run.problems:
        raise ConfigError("\n".join(f"{problem.path}: {problem.message}." for problem in run.problems))
    aggregates = aggregate_run(run, resamples=0)
    if aggregates.status not in ENDED:
        raise RunFailed(
            f"Run {run.run_id} is {aggregates.status} at {aggregates.edits_done} of {run.spec.schedule.edits} edits; "
            "only complete and collapsed runs are submitted. Go on with the command that began it."
        )
    return run, aggregates


def _has_made_texts(run: CheckedRun) -> bool:
    """True if whoever reads the bundle gets the same texts without them."""
    own = (run.cases, run.probes)
    return are_made_here(run.spec) and all(map(pa.Table.equals, made_texts(run.spec), own))


def _sealed(name: str, data: bytes) -> tuple[str, bytes]:
    """A file of the run as it stands in the bundle: under which name, with which content."""
    if name != layout.JOURNAL:
        return name, data
    journal = _journal(data)
    return (name, journal) if len(journal) <= LONG_JOURNAL else (PACKED_JOURNAL, gzip.compress(journal, mtime=0))


def _journal(written: bytes) -> bytes:
    """A journal without tracebacks, which name the submitter's folders, and without a torn last line.

    Its numbers, of seconds, norms and losses, have six digits: one edit at a time a journal would be most of a bundle.
    """
    whole = written[: written.rfind(b"\n") + 1]
    return b"".join(map(_line, whole.splitlines(keepends=True)))


def _line(written: bytes) -> bytes:
    try:
        event: Any = json.loads(written, parse_float=lambda number: float(f"{float(number):.6g}"))
    except ValueError:
        return written
    if isinstance(event, dict):
        event.pop("traceback", None)
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def bundles(folder: Path) -> Iterator[Path]:
    """Folders of bundles below ``folder``, in order of their names."""
    if folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if (path / MANIFEST).is_file())
