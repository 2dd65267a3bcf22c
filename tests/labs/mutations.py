"""Seeded damage to bundles: bytes flipped, cut and repeated; JSON and tables changed in one place; trees that mislead.

Each mutation takes the random numbers and a bundle, changes the bundle, and says in words what it did.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Mutation = Callable[[random.Random, Path], str]
STRANGE: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    10**400,
    -(10**30),
    2**63,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "\x00\u202e\ud800"[:2],
    "x" * 100_000,
    "../../../../etc/passwd",
    [],
    {},
    [[[[[[[[]]]]]]]],
    {"__class__": "os.system"},
]
"""Values of any kind, for any place in a JSON file."""


def files(bundle: Path, ending: str = "") -> list[Path]:
    """All files of a bundle whose names end so, in a fixed order."""
    return sorted(path for path in bundle.rglob(f"*{ending}") if path.is_file() and not path.is_symlink())


def flip_bytes(rng: random.Random, bundle: Path) -> str:
    """One to sixteen bytes of one file become others."""
    path = rng.choice(files(bundle))
    data = bytearray(path.read_bytes() or b"\0")
    places = [rng.randrange(len(data)) for _ in range(rng.choice((1, 2, 16)))]
    for place in places:
        data[place] ^= rng.randrange(1, 256)
    path.write_bytes(data)
    return f"{path.name}: bytes {places} flipped"


def cut_or_grow(rng: random.Random, bundle: Path) -> str:
    """One file ends early, or holds part of itself twice."""
    path = rng.choice(files(bundle))
    data = path.read_bytes()
    place = rng.randrange(len(data) + 1)
    path.write_bytes(data[:place] if rng.random() < 0.5 else data[:place] + data)
    return f"{path.name}: cut or grown at {place}"


def swap_files(rng: random.Random, bundle: Path) -> str:
    """Two files change places."""
    one, other = rng.sample(files(bundle), 2)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    return f"{one.name} and {other.name} swapped"


def change_json(rng: random.Random, bundle: Path) -> str:
    """One place in one JSON file holds something strange, or is gone."""
    path = rng.choice([*files(bundle, ".json"), *files(bundle, ".jsonl")])
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines() or [""] if path.suffix == ".jsonl" else [text]
    line = rng.randrange(len(lines))
    try:
        value = json.loads(lines[line])
    except ValueError:
        return f"{path.name}: damaged before"
    holder, key = rng.choice(list(places(value)))
    strange = rng.choice(STRANGE)
    if rng.random() < 0.2:
        del holder[key]
    else:
        holder[key] = strange
    lines[line] = json.dumps(value)
    path.write_text("\n".join(lines) + "\n")
    return f"{path.name}, line {line}: {key!r} is {str(strange)[:40]!r} or gone"


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    found = [(value, key) for key in keys]
    return [*found, *(inner for _, key in found for inner in places(value[key]))]


def change_table(rng: random.Random, bundle: Path) -> str:
    """One column of one table is of another type, gone, twice there, or holds one strange value."""
    path = rng.choice(files(bundle, ".parquet"))
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError):
        return f"{path.name}: damaged before"
    if not table.column_names:
        return f"{path.name}: no columns"
    column = rng.choice(table.column_names)
    at = table.schema.get_field_index(column)
    how = rng.choice(("drop", "null", "text", "rows", "huge", "list"))
    size = len(table)
    made: dict[str, pa.Array] = {
        "null": pa.nulls(size, table.schema.field(at).type),
        "text": pa.array([rng.choice(("", "\u202e", "x" * 5000, "NaN"))] * size, pa.string()),
        "huge": pa.array([rng.choice((2**62, -(2**62)))] * size, pa.int64()),
        "list": pa.array([[1, 2]] * size, pa.list_(pa.int64())),
    }
    if how == "drop":
        table = table.drop_columns([column])
    elif how == "rows":
        table = rng.choice((table.slice(0, 0), table.slice(0, 1), pa.concat_tables([table, table])))
    else:
        table = table.set_column(at, column, made[how])
    pq.write_table(table, path)
    return f"{path.name}: {column} {how}"


def mislead(rng: random.Random, bundle: Path) -> str:
    """The tree holds what does not belong there."""
    how = rng.choice(("link", "fifo", "folder", "name", "deep", "gone", "loop"))
    path = rng.choice(files(bundle))
    if how == "link":
        path.unlink()
        path.symlink_to(rng.choice(("/etc/passwd", "/dev/zero", "../../..", path.name)))
    elif how == "fifo":
        path.unlink()
        os.mkfifo(path)
    elif how == "folder":
        path.unlink()
        path.mkdir()
    elif how == "name":
        name = rng.choice(("scores.parquet", "\u202egnp.exe", "a\nb", "-rf", "%2e%2e", "x" * 200, "conftest.py"))
        (path.parent / name).write_bytes(b"x")
    elif how == "deep":
        deep = bundle / "/".join(["scores", *("d" * 3 for _ in range(30))])
        deep.mkdir(parents=True, exist_ok=True)
    elif how == "loop":
        (bundle / "scores" / "000099").symlink_to(bundle)
    else:
        path.unlink()
    return f"{path.name}: {how}"


ALL: list[Mutation] = [flip_bytes, cut_or_grow, swap_files, change_json, change_table, mislead]
