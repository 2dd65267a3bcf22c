"""Every run of the suite `editors` in short, and what of it is recorded in ``same-numbers``.

A recording is read from run folders alone, so it can be made with any revision::

    python -m tests.golden.same_numbers suite short.yaml
    OMP_NUM_THREADS=1 palimpsest run --suite short.yaml --home short
    python -m tests.golden.same_numbers record short

A commit that records again says why the numbers moved.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "tasks" / "suites" / "editors.yaml"
RECORDED = Path(__file__).parent / "same-numbers"
MACHINE = RECORDED / "machine.json"
PACKAGES = ("torch", "numpy", "transformers")
CODE = ("editors", "harness/model", "harness/scoring", "harness/statistics", "harness/plugins", "harness/abilities")
"""Rooms that make the numbers."""
COUNTED = ("hits_new", "hits_true", "exact_new", "exact_true")
MEANT = ("nll_new", "nll_true")


def write_suite(path: Path) -> None:
    """Write one course of the suite `editors`, cut to eight edits in batches of four or one, and ten items an ability.

    Two batches, since some editors carry something from one to the next.
    """
    suite = yaml.safe_load(SUITE.read_text(encoding="utf-8"))
    suite["name"] = "editors-in-short"
    suite["seeds"] = [0]
    suite["schedule"] |= {"edits": 8, "batch_size": 4, "checkpoints": [0, 4, 8]}
    suite["abilities"] |= {"limit": 10}
    path.write_text(yaml.safe_dump(suite, sort_keys=False), encoding="utf-8")


def run_folders(home: Path) -> Iterator[Path]:
    """The folders of the runs in a home."""
    return (path.parent for path in sorted(home.glob("runs/*/spec.json")))


def name_of(folder: Path) -> str:
    """Name of a run among the runs of the suite: its editor, and its batch size where that is one."""
    spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    ones = "-one-by-one" if spec["schedule"]["batch_size"] == 1 else ""
    return f"{spec['editor']['name'].replace('(', '-of-').replace(')', '')}{ones}"


def machine_of(folder: Path) -> dict[str, Any]:
    """What the bits of a run depend on besides its spec and the code."""
    (segment,) = json.loads((folder / "environment.json").read_text(encoding="utf-8"))["segments"]
    packages = {name: segment["packages"][name] for name in PACKAGES}
    return {"processor": processor(), "threads": segment["threads"], **packages}


def processor() -> str:
    """Name, family and model of this machine's processor, and a digest of the instructions it offers."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = hashlib.sha256(" ".join(sorted(told.get("flags", "").split())).encode()).hexdigest()
    return " ".join([*(told.get(name, "unknown") for name in ("model name", "cpu family", "model")), flags[:12]])


def code() -> str:
    """Digest of the code that makes the numbers."""
    digest = hashlib.sha256()
    for path in sorted(path for room in CODE for path in (ROOT / room).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def record_of(folder: Path) -> dict[str, Any]:
    """What is recorded of one run: its id, digests of its weights and tables, and its numbers in short."""
    checkpoints = sorted((folder / "scores").glob("[0-9]*"))
    saves = sorted((folder / "checkpoints").glob("[0-9]*"))
    return {
        "run": folder.name,
        "weights": {place.name: tensors_digest(place / "weights.safetensors") for place in saves},
        "tables": {
            place.name: {path.stem: table_digest(pq.read_table(path)) for path in sorted(place.glob("*.parquet"))}
            for place in checkpoints
        },
        "numbers": {place.name: numbers(place) for place in checkpoints},
    }


def tensors_digest(path: Path) -> str:
    """SHA-256 of the names, types, shapes and bytes of all tensors of a file."""
    digest = hashlib.sha256()
    for name, array in sorted(load_file(path).items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def table_digest(table: pa.Table) -> str:
    """SHA-256 of a table's columns and rows, whatever file they lie in."""
    digest = hashlib.sha256()
    for name in sorted(table.column_names):
        digest.update(f"{name} {table.schema.field(name).type}\n".encode())
        digest.update("\n".join(map(repr, table.column(name).to_pylist())).encode())
    return digest.hexdigest()


def numbers(place: Path) -> dict[str, dict[str, float]]:
    """Outcomes counted and NLLs averaged over the probes of each kind, and right answers of each ability."""
    probes = pq.read_table(place / "probes.parquet")
    found: dict[str, dict[str, float]] = {}
    for kind in sorted(set(probes["kind"].to_pylist())):
        rows = probes.filter(pc.equal(probes["kind"], kind))
        counts = {name: pc.sum(rows[name].cast(pa.int64())).as_py() for name in COUNTED}
        means = {name: pc.mean(rows[name]).as_py() for name in MEANT}
        found[kind] = {"rows": rows.num_rows, **counts, **means}
    abilities = pq.read_table(place / "abilities.parquet")
    for ability in sorted(set(abilities["ability"].to_pylist())):
        rows = abilities.filter(pc.equal(abilities["ability"], ability))
        found[ability] = {"rows": rows.num_rows, "correct": pc.sum(rows["correct"].cast(pa.int64())).as_py()}
    return found


def record(home: Path) -> None:
    """Write the recording anew from the runs of a home."""
    folders = list(run_folders(home))
    RECORDED.mkdir(exist_ok=True)
    for old in RECORDED.glob("*.json"):
        old.unlink()
    for folder in folders:
        _write(RECORDED / f"{name_of(folder)}.json", record_of(folder))
    (machine,) = {json.dumps(machine_of(folder)) for folder in folders}
    _write(MACHINE, json.loads(machine) | {"code": code()})


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    verb, argument = sys.argv[1:]
    {"suite": write_suite, "record": record}[verb](Path(argument))
