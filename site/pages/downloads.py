"""The downloads: tables of the store as a whole, what their columns mean, and how to cite."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from palimpsest.site.jobs import File
from palimpsest.site.parts.files import arrow_files
from palimpsest.site.words import papers

if TYPE_CHECKING:
    import pyarrow as pa

TEXT_ROWS = 20_000
"""Tables with more rows than this are not given as CSV and JSON."""
DATABASE = "palimpsest-results.duckdb"
BIBLIOGRAPHY = "downloads/palimpsest.bib"
TABLES = {
    "runs": "one line per run: what was run, how it ended, what it cost",
    "standings": "rows of each track: courses, mean effective edits with their interval, rank",
    "pairs": "pairs of rows with a rank: difference, and the least one that they can be told apart by",
    "headlines": "effective edits of each run with their interval, and the edits until limits",
    "checkpoints": "scored checkpoints of each run",
    "metrics": "every score with its interval, per run, checkpoint and window",
    "ability_scores": "every ability task, per run and checkpoint",
    "diagnostics": "every diagnostic, per run, checkpoint and layer",
    "timings": "seconds and memory of each batch",
    "environment": "machine, versions and commit of each start or resumption",
    "ledger": "what was included, replaced and withdrawn, and why",
}


@dataclass(frozen=True, slots=True)
class Download:
    """One table."""

    name: str
    note: str
    rows: int
    files: tuple[tuple[str, str, int], ...]
    """(format, path, bytes)."""
    columns: tuple[tuple[str, str, str], ...]
    """(name, type, meaning)."""


def table_downloads(tables: Mapping[str, pa.Table]) -> tuple[list[Download], list[File]]:
    """Downloads of the store as a whole, and their files."""
    meanings = column_meanings()
    found, everything = [], []
    for name, table in tables.items():
        made = list(arrow_files(f"downloads/{name}", table, text_rows=TEXT_ROWS))
        kinds = tuple((f.path.rpartition(".")[2], f.path, len(f.data)) for f in made)
        columns = tuple(
            (field.name, str(field.type).replace("large_", ""), meanings.get(f"{name}.{field.name}", ""))
            for field in table.schema
        )
        found.append(Download(name, TABLES.get(name, ""), len(table), kinds, columns))
        everything += made
    if tables:
        everything.append(File(f"downloads/{DATABASE}", database(tables)))
    return found, everything


def database(tables: Mapping[str, pa.Table]) -> bytes:
    """The tables as one DuckDB file."""
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / DATABASE
        with duckdb.connect(str(path), config={"threads": "1"}) as connection:
            for name, table in tables.items():
                connection.register("incoming", table)
                connection.execute(f'CREATE TABLE "{name}" AS FROM incoming')
                connection.unregister("incoming")
        return path.read_bytes()


def column_meanings() -> dict[str, str]:
    """``table.column`` → the comment beside it in the schema."""
    text = files("palimpsest.results.store").joinpath("schema.sql").read_text(encoding="utf-8")
    found = {}
    for table, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\n\);", text, re.DOTALL):
        for line in body.splitlines():
            column = re.match(r'\s*"?(\w+)"? [A-Z].*?--\s*(.+)', line)
            if column:
                found[f"{table}.{column[1]}"] = column[2].strip()
    return found


def bibliography_file(version: str, url: str) -> File:
    """BibTeX entries of this benchmark, at an address if it has one, and of every built-in editor's papers."""
    return File(BIBLIOGRAPHY, papers.bibliography(papers.all_papers(), version, url).encode())
