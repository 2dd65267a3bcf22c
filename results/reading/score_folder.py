"""The score folder of one checkpoint: its manifest, and the tables that the manifest vouches for."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa

from palimpsest.harness.runs.layout import OPTIONAL_COLUMNS, SCORE_COLUMNS
from palimpsest.results.reading.bounded_files import BYTES_JSON, BYTES_TABLE, read_bytes
from palimpsest.results.reading.foreign_json import parse_object
from palimpsest.results.reading.problems import Invalid
from palimpsest.results.reading.tables import parse_table

MANIFEST = "manifest.json"


def read_score_folder(folder: Path, edits: int) -> dict[str, pa.Table]:
    """The tables of one scored checkpoint, after checking its manifest; the optional ones if it lists them.

    Args:
        folder: ``scores/<edits>`` of a run.
        edits: number of edits that the manifest must name.

    Raises:
        Invalid: the manifest is missing or does not fit the files, or a table cannot be used.
    """
    try:
        manifest = parse_object(read_bytes(folder / MANIFEST, BYTES_JSON))
    except Invalid as error:
        raise Invalid(f"{MANIFEST} {error}") from error
    if manifest.get("format") != 1 or manifest.get("edits") != edits:
        raise Invalid(f"{MANIFEST} must have format 1 and edits {edits}")
    files = manifest.get("files")
    if not isinstance(files, dict):
        raise Invalid(f"{MANIFEST} lacks the table of files")
    listed = {name: schema for name, schema in OPTIONAL_COLUMNS.items() if name in files}
    tables = {}
    for name, schema in {**SCORE_COLUMNS, **listed}.items():
        try:
            tables[name] = parse_table(_vouched(folder / name, files.get(name)), schema)
        except Invalid as error:
            raise Invalid(f"{name} {error}") from error
    return tables


def _vouched(path: Path, stated: object) -> bytes:
    """The content of a file, if it is what the manifest says."""
    data = read_bytes(path, BYTES_TABLE)
    found = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if not isinstance(stated, dict) or any(stated.get(key) != value for key, value in found.items()):
        raise Invalid("does not match its size or checksum in the manifest: it was damaged or changed")
    return data
