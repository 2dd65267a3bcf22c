"""Flatness of a long course: memory and seconds per batch along the journal of a run, store size, page build.

    python benchmarks/long_course.py RUN_FOLDER [--store STORE]

Compares the last tenth of the batches with the second tenth (the first is warming up). Memory is the highest resident
set of the process up to a batch, as the journal has it. With ``--store`` it also prints the size of the store that the
run was ingested into, and builds its page once. Exit code 1 if memory grew beyond 1.05×, the store exceeds 300 MB, or
the page takes 10 s or longer.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from palimpsest.site.build import build

MEMORY, STORE_MB, PAGE_SECONDS = 1.05, 300, 10


def batches(run: Path) -> list[tuple[int, float, float]]:
    """Edits made, seconds and peak memory (MB) of each batch, in order."""
    lines = (run / "events.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    return [(e["edits"], e["seconds_edit"], e["peak_memory_mb"]) for e in events if e["event"] == "batch"]


def tenth(rows: Sequence[tuple[int, float, float]], number: int) -> Sequence[tuple[int, float, float]]:
    """The rows of one tenth, from 0."""
    size = max(1, len(rows) // 10)
    return rows[number * size : (number + 1) * size] if number < 9 else rows[-size:]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run")
    parser.add_argument("--store", type=Path, help="store that the run is in")
    arguments = parser.parse_args()
    rows = batches(arguments.run)
    if len(rows) < 20:
        raise SystemExit(f"{arguments.run}: {len(rows)} batches; at least 20 are needed to compare tenths.")
    second, last = tenth(rows, 1), tenth(rows, 9)
    memory = max(row[2] for row in last) / max(row[2] for row in second)
    seconds = median(row[1] for row in last) / median(row[1] for row in second)
    print(f"{rows[-1][0]} edits in {len(rows)} batches")
    print(f"peak memory, MB: {max(r[2] for r in second):.0f}, then {max(r[2] for r in last):.0f}: {memory:.3f}x")
    print(
        f"seconds per batch: {median(r[1] for r in second):.2f}, then {median(r[1] for r in last):.2f}: {seconds:.2f}x"
    )
    failed = memory > MEMORY
    if arguments.store is not None:
        size = arguments.store.stat().st_size / 1e6
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            build(arguments.store, Path(folder) / "site")
            took = time.perf_counter() - begun
        print(f"store: {size:.1f} MB; page built in {took:.1f} s")
        failed = failed or size > STORE_MB or took >= PAGE_SECONDS
    raise SystemExit(int(failed))


if __name__ == "__main__":
    main()
