"""Folders that the run engine really writes: on a tiny model, finished, cut off, collapsed, failed, sampled."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from palimpsest.harness.metrics.diagnostic_definitions import record
from palimpsest.harness.metrics.probes import METRICS
from palimpsest.harness.specs.run_spec import RunSpec, Scoring
from palimpsest.results.store import boards, bulk
from palimpsest.results.store.database import Store
from palimpsest.results.store.ingest import ingest
from tests.labs import run_lab


def specs() -> dict[str, RunSpec]:
    whole = run_lab.spec()
    return {
        "complete": whole,
        "collapsed": run_lab.spec({"nan_at": 105}),
        "failed": run_lab.spec({"fail_at": 102}),
        "partial": run_lab.spec({"rate": 0.04}),
        "sampled": whole.model_copy(update={"scoring": Scoring(sample=3, seed=1)}),
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    for name, spec in specs().items():
        run_lab.run(home, spec, limit=5 if name == "partial" else None)
    return home


def test_what_the_engine_writes_is_understood(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "palimpsest.duckdb"
    with Store.open(path) as store:
        report = ingest(store, home / "runs")
        assert report.problems == [] and len(report.added) == 5
    with Store.open(path, read_only=True) as store:
        rows = {row.run_id: row for track in bulk.track_heads(store) for row in boards.board(store, track.track_id)}
        found = {name: rows[spec.id] for name, spec in specs().items()}
        assert {name: (row.status, row.edits_done) for name, row in found.items()} == {
            "complete": ("complete", 8),
            "collapsed": ("collapsed", 5),
            "failed": ("failed", 2),
            "partial": ("partial", 5),
            "sampled": ("complete", 8),
        }
        assert found["collapsed"].reason and found["failed"].reason
        assert found["complete"].metrics["efficacy_argmax"].n == 8
        assert found["sampled"].metrics["efficacy_argmax"].n == 3
        assert found["collapsed"].metrics["efficacy_argmax"].value == 0
        for row in found.values():
            assert row.seconds_per_edit is not None and (row.peak_memory_mb or 0) > 10 and row.started_at is not None
        run = specs()["complete"].id
        assert bulk.scored_checkpoints(store, [run])[run] == [0, 2, 4, 8]
        assert bulk.timings(store, [run])[run].seconds_scoring > 0
        (segment,) = bulk.segments(store, [run])[run]
        assert segment.palimpsest_version and segment.packages
        assert {one.metric for one in bulk.diagnostic_series(store, [run])[run]} >= {
            f"{name}:{layer}"
            for name in ("weight_norm", "update_norm", "condition_number", "superimposed_noise")
            for layer in run_lab.LAYERS
        }
        assert bulk.samples(store, [run])[run]


def test_every_stored_metric_is_in_the_table_of_metrics(home: Path, tmp_path: Path) -> None:
    known = {metric.name for metric in METRICS}
    with Store.open(tmp_path / "palimpsest.duckdb") as store:
        ingest(store, home / "runs")
        assert {row[0].partition(":")[0] for row in store.rows("SELECT DISTINCT metric FROM metrics")} <= known
        names = {record(row[0]) for row in store.rows("SELECT DISTINCT name FROM diagnostics")}
        assert {found.name for found in names if found is not None} <= known and None not in names


@pytest.mark.parametrize("name", ["cases.parquet", "probes.parquet", "spec.json"])
def test_another_text_in_a_file_that_says_what_a_run_is_is_noticed(home: Path, tmp_path: Path, name: str) -> None:
    """As a flipped bit would leave it: still a good table, or the same spec in other words."""
    run = specs()["complete"].id
    folder = Path(shutil.copytree(home / "runs" / run, tmp_path / "runs" / run))
    if name == "spec.json":
        (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    else:
        table = pq.read_table(folder / name)
        place = table.schema.get_field_index("target_new")
        other = pc.replace_substring(table["target_new"], "w", "v")
        pq.write_table(table.set_column(place, "target_new", other), folder / name)
    with Store.open(tmp_path / "palimpsest.duckdb") as store:
        report = ingest(store, tmp_path / "runs")
    assert report.added == [] and f"{name} does not match its checksum" in report.problems[0].message
