"""One run folder made into rows, in this process or in one of its own: ``python -m`` this module, a line for each.

A reader is asked and answers by lines of JSON; the rows go through files of Arrow's, so that few of them are in memory.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from palimpsest.results.analysis.aggregate import aggregate_run
from palimpsest.results.reading.cleaning import clean_text
from palimpsest.results.reading.problems import Invalid, Problem
from palimpsest.results.reading.run_folder import RUN_ID, folder_digest, read_run_folder
from palimpsest.results.store.database import Store
from palimpsest.results.store.run_rows import Rows, run_tables
from palimpsest.results.submissions.bounded import require_readable
from palimpsest.results.submissions.bundle import check_sealed

REFUSED = (pa.ArrowException, OverflowError, ValueError, TypeError)
"""Errors of values that a table cannot hold."""
IN_MEMORY = Path(":memory:")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A folder that is to be read."""

    folder: Path
    known: str | None = None
    """Digest of what the store has of the run; None: nothing."""
    bundle: bool = False
    """True for a bundle, which a line of the ledger includes; False: a run of this home."""
    digest: str | None = None
    """SHA-256 of the bundle's manifest in that line; None: it names none."""
    published: bool = False
    """True where that line says that the bundle is of a run of our own."""


@dataclass(slots=True)
class Reading:
    """Outcome of reading a folder."""

    folder: Path
    done: str
    """``read``, ``unchanged``, or ``skipped`` for what cannot be used."""
    problems: list[Problem] = field(default_factory=list)
    track: str = ""
    tables: Mapping[str, Rows | pa.Table] = field(default_factory=dict)


def read(wanted: Wanted) -> Reading:
    """The rows of a folder; whatever is wrong with it is a problem of the reading, never an error.

    A bundle is read by a process with bounds first. Only one whose every byte is as the maintainers published it, by
    the digest in their ledger, needs none: it is a run of ours, like those of the home.
    """
    folder = wanted.folder
    try:
        if not RUN_ID.fullmatch(folder.name):
            raise Invalid("the folder's name must be a run id: 12 hexadecimal digits")
        bundle = check_sealed(folder, wanted.digest) if wanted.bundle else None
        digest = f"{folder_digest(folder)}{bundle or ''}"
        if digest == wanted.known:
            return Reading(folder, "unchanged")
        if wanted.bundle and not (wanted.published and wanted.digest):
            require_readable(folder)
        run = read_run_folder(folder, digest)
        return Reading(folder, "read", run.problems, run.spec.track_id, run_tables(run, aggregate_run(run), bundle))
    except Exception as error:  # whatever is wrong with a foreign folder, the others are not affected
        reason = str(error) if isinstance(error, Invalid) else f"cannot be read ({type(error).__name__}: {error})"
        return left_out(folder, clean_text(reason, 1000))


def left_out(folder: Path, reason: str) -> Reading:
    """The reading of a folder that cannot be used."""
    return Reading(folder, "skipped", [Problem(clean_text(str(folder), 500), f"{reason}; this run was left out")])


def not_taken(error: Exception) -> str:
    """Reason why a run is left out whose values no table takes."""
    return f"holds what the store cannot take ({type(error).__name__}: {clean_text(error, 500)})"


def answer(question: str, store: Store) -> str:
    """Read the folder that a line asks for and write its tables to files; the line that says what was found.

    Args:
        question: JSON object with the fields of `Wanted`, and ``place``, an empty folder for the tables.
        store: An empty one, whose tables have the columns that are wanted.
    """
    asked: dict[str, Any] = json.loads(question)
    place = Path(asked.pop("place"))
    reading = read(Wanted(**asked | {"folder": Path(asked["folder"])}))
    try:
        tables = {name: store.as_table(name, rows) for name, rows in reading.tables.items() if len(rows)}
    except REFUSED as error:
        reading = left_out(reading.folder, not_taken(error))
        tables = {}
    for name, table in tables.items():
        path = place / name
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    found = asdict(reading) | {"folder": asked["folder"], "tables": [*tables]}
    return json.dumps(found)


def heard(line: str, place: Path) -> Reading:
    """The reading of an answer; its tables lie in ``place``, and are read when they are used.

    Raises:
        ValueError: It is no whole answer.
    """
    found: dict[str, Any] = json.loads(line)
    tables = {name: pa.ipc.open_file(pa.memory_map(str(place / name))).read_all() for name in found["tables"]}
    problems = [Problem(*problem) for problem in found["problems"]]
    return Reading(Path(found["folder"]), found["done"], problems, found["track"], tables)


if __name__ == "__main__":
    with Store.open(IN_MEMORY) as empty:
        for asked_for in sys.stdin:
            sys.stdout.write(answer(asked_for, empty) + "\n")
            sys.stdout.flush()
