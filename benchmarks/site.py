"""Seconds that the site takes to build from many runs: made up in a store, built in full, then again after one new run.

    python benchmarks/site.py [--runs 2000] [--tracks 10] [--out FOLDER]

One real run folder is ingested and multiplied inside the store with other names and decays, so that the build is
measured and not the ingest. Prints seconds (of the clock, and of the processor, which other work on the machine changes
less), peak memory and the weight of the front page; exit 1 beyond the limits.
"""

from __future__ import annotations

import argparse
import gzip
import re
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from palimpsest.results.store.database import Store
from palimpsest.results.store.ingest import ingest
from palimpsest.results.store.run_rows import RUN_TABLES
from palimpsest.results.store.standings import forget_standings, keep_standings
from palimpsest.site.build import BuildReport, build
from tests.labs.synthetic import SyntheticRun, write_run

CHECKPOINTS = (0, 10, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200)
EDITORS = ("memit", "memit-seq", "alphaedit", "nse", "deltaedit", "ft-l", "rome", "revive(memit)", "sphere(alphaedit)")
OUTCOMES = {"case_scores", "ability_items", "cases", "probes"}
"""Tables that the build reads for one run of each set of texts only, or not at all."""
LIMITS = {"full": 60.0, "one more": 5.0, "memory": 1000.0, "front": 300.0}


def fill(path: Path, folder: Path, runs: int, tracks: int) -> None:
    template = SyntheticRun(checkpoints=CHECKPOINTS, batch_size=10, neighborhood=5)
    source = write_run(folder, template)
    with Store.open(path) as store:
        assert ingest(store, folder).problems == []
        with store.transaction():
            for index in range(runs - 1):
                add(store, source, index, tracks)
        keep_standings(store)


def add(store: Store, source: str, index: int, tracks: int) -> None:
    """A copy of a run: editor, seed and track by index; its scores moved a little."""
    track, row, seed = index % tracks, index // tracks // 3, index // tracks % 3
    editor = EDITORS[row % len(EDITORS)]
    new = {"run_id": f"{index + 1:012x}", "track_id": f"{track + 1:012x}", "row_id": f"{track * 1000 + row:012x}"}
    forget_standings(store, [new["track_id"]])
    for table in RUN_TABLES:
        if table in OUTCOMES:
            continue
        change = [f"'{new['run_id']}' AS run_id"]
        if table == "runs":
            change += [f"'{new['track_id']}' AS track_id", f"'{new['row_id']}' AS row_id", f"'{editor}' AS editor",
                       f"{seed} AS seed", f"'0.{row // len(EDITORS)}.0' AS version", f"'{new['run_id']}' AS digest",
                       f"'model-{track % 5}' AS model", f"'task-{track // 5}' AS task"]  # fmt: skip
        if table == "metrics":
            factor = 1 - (index % 97) / 300
            change += [f"{name} * {factor} AS {name}" for name in ("value", "low", "high")]
        store.rows(
            f'INSERT INTO "{table}" SELECT * REPLACE ({", ".join(change)}) FROM "{table}" WHERE run_id = ?', [source]
        )


def timed(store: Path, site: Path) -> tuple[BuildReport, float]:
    """A build, and the seconds of the processor that it took."""
    before = time.process_time()
    return build(store, site), time.process_time() - before


def weight(site: Path) -> tuple[float, float]:
    """Front page with all that it loads at once, in kB: as it is, and compressed."""
    html = (site / "index.html").read_text(encoding="utf-8")
    names = re.findall(r'<(?:script src|link rel="(?:stylesheet|icon)" href)="([^"]+)"', html)
    parts = [html.encode(), *((site / name).read_bytes() for name in names)]
    return sum(map(len, parts)) / 1000, sum(len(gzip.compress(part)) for part in parts) / 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--tracks", type=int, default=10)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home, site = Path(folder), options.out or Path(folder) / "site"
        store = home / "palimpsest.duckdb"
        started = time.perf_counter()
        fill(store, home / "runs", options.runs, options.tracks)
        print(f"store of {options.runs} runs on {options.tracks} tracks: {time.perf_counter() - started:.1f} s")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        full, full_processor = timed(store, site)
        with Store.open(store) as writer:
            add(writer, next(iter(path.name for path in (home / "runs").iterdir())), options.runs, options.tracks)
            keep_standings(writer)
        more, more_processor = timed(store, site)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        raw, packed = weight(site)
    for name, report, processor in (("full build", full, full_processor), ("after one more run", more, more_processor)):
        print(f"{name}: {report.seconds:.1f} s ({processor:.1f} s of the processor), {report.made} jobs of "
              f"{report.made + report.kept}, {report.pages} pages, {report.bytes / 1e6:.0f} MB")  # fmt: skip
    print(f"peak memory: {memory:.0f} MB ({before:.0f} MB before the build)")
    print(f"front page with all it loads: {raw:.0f} kB, compressed {packed:.0f} kB")
    found = {"full": full.seconds, "one more": more.seconds, "memory": memory, "front": raw}
    return int(any(found[name] > limit for name, limit in LIMITS.items()))


if __name__ == "__main__":
    sys.exit(main())
