"""Content of a home, as digests of everything that may not depend on when, where and how often it was written."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

TIMES = re.compile(r"(_at$|^seconds|_seconds|^seen|duration|peak_memory|memory|^path$|^folder$|command|started|load)")
"""Columns and metrics that tell of the making, not of the result."""
RESULTS = ("*.parquet", "scores/??????/*.parquet", "spec.json", "result.json")
PLACES = ("runs/*", "nights/*/runs/*")


def home_digest(home: Path) -> dict[str, str]:
    """Relative name → SHA-256 of results, caches of tensors, rows of the store, bundles, numbers of nights, pages."""
    found = {name: _bytes(path) for name, path in _whole_files(home)}
    store = home / "palimpsest.duckdb"
    if store.is_file():
        found |= {f"{store.name}: {table}": digest for table, digest in store_rows(store, home)}
    for night in sorted(home.glob("nights/*/night.json")):
        found[str(night.relative_to(home))] = _digest(repr(night_numbers(night)))
    return found


def night_numbers(night: Path) -> list[dict[str, Any]]:
    """The numbers of a night, without those that measure the machine."""
    numbers = json.loads(night.read_text(encoding="utf-8"))["numbers"]
    return [number for number in numbers if not TIMES.search(number["metric"])]


def _whole_files(home: Path) -> Iterator[tuple[str, Path]]:
    """Files that are the same to the byte, however a course went."""
    patterns = [f"{place}/{name}" for place in PLACES for name in RESULTS]
    # Saves before the last one depend on when a run was stopped.
    last = {save.parent: save for place in PLACES for save in sorted(home.glob(f"{place}/checkpoints/??????"))}
    patterns += [f"{save.relative_to(home)}/*.safetensors" for save in last.values()]
    patterns += ["models/**/*.safetensors", "submissions/*/*"]
    patterns += [] if (home / "nights").is_dir() else ["page/*.html"]  # a night's page tells how long its runs took
    for pattern in patterns:
        for path in sorted(home.glob(pattern)):
            if path.is_file() and ".damaged" not in str(path):
                yield str(path.relative_to(home)), path


def store_rows(store: Path, home: Path) -> Iterator[tuple[str, str]]:
    """Every table of a store and the digest of its rows, in no order, without times and places."""
    with duckdb.connect(str(store), read_only=True) as database:
        for (table,) in sorted(database.execute("SELECT table_name FROM duckdb_tables()").fetchall()):
            names = [row[0] for row in database.execute(f'DESCRIBE "{table}"').fetchall()]
            kept = ", ".join(f'"{name}"' for name in names if not TIMES.search(name))
            chosen = "WHERE kind <> 'seconds'" if table == "batch_reports" else ""
            rows = database.execute(f'SELECT {kept} FROM "{table}" {chosen}').fetchall() if kept else []
            yield table, _digest("\n".join(sorted(repr(row).replace(str(home), "HOME") for row in rows)))


def _bytes(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
