"""Several processes read run folders, one writes: the store is the same, whatever becomes of the readers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

from palimpsest.results.store import readers
from palimpsest.results.store.database import Store
from palimpsest.results.store.ingest import IngestReport, Submissions, ingest, rebuild
from palimpsest.results.store.run_reader import Wanted
from palimpsest.results.submissions.bundle import check_sealed, write_bundle
from palimpsest.results.submissions.editor_sources import editor_sources
from palimpsest.results.submissions.ledger import append
from tests.cli.helpers import cli
from tests.labs.synthetic import write_run
from tests.results.conftest import honest_run, small_runs
from tests.results.submissions.test_ledger import entry


def bring(path: Path, runs: Path, jobs: int, told: list[tuple[str, str]] | None = None) -> IngestReport:
    def tell(name: str, done: str) -> None:
        if told is not None:
            told.append((name, done))

    with Store.open(path) as store:
        return ingest(store, runs, tell, jobs=jobs)


def everything(path: Path) -> dict[str, pa.Table]:
    """Every table in the order of its rows in the file."""
    with Store.open(path, read_only=True) as store:
        names = [row[0] for row in store.rows("SELECT table_name FROM duckdb_tables() ORDER BY table_name")]
        return {name: store.arrow(f'FROM "{name}"') for name in names}


@pytest.fixture
def many(runs: Path) -> Path:
    """Good runs, one with a damaged checkpoint, one whose spec is nonsense, one that is no run."""
    for number in range(2):
        write_run(runs, replace(small_runs()[0], half=20 + number, editor=f"memit-{number}"))
    damaged, nonsense = sorted(runs.iterdir())[:2]
    (damaged / "scores" / "000020" / "probes.parquet").write_bytes(b"PAR1")
    (nonsense / "spec.json").write_text("{}")
    (runs / "no-run").mkdir()
    return runs


def test_the_store_is_the_same_to_the_bit_with_any_number_of_readers(many: Path, tmp_path: Path) -> None:
    found: dict[int, tuple[IngestReport, dict[str, pa.Table]]] = {}
    told: dict[int, list[tuple[str, str]]] = {}
    for jobs in (1, 3):
        told[jobs] = []
        path = tmp_path / f"{jobs}.duckdb"
        report = bring(path, many, jobs, told[jobs])
        again = bring(path, many, jobs)
        assert again.unchanged == report.added and not again.added and again.problems[-1:] == report.problems[-1:]
        found[jobs] = (report, everything(path))
    assert found[1] == found[3] and told[1] == told[3]
    report = found[3][0]
    assert len(report.added) == 4 and len(report.problems) == 3, report.problems


def test_a_changed_run_is_replaced_and_a_rebuilt_store_is_equal(runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    bring(path, runs, 2)
    shutil.rmtree(runs / small_runs()[0].spec().id / "scores" / "000040")
    assert bring(path, runs, 2).updated == [small_runs()[0].spec().id]
    changed = everything(path)
    rebuild(path, runs, jobs=2)
    rebuilt = everything(path)
    assert changed.keys() == rebuilt.keys()
    assert all(sorted(map(str, rebuilt[n].to_pylist())) == sorted(map(str, changed[n].to_pylist())) for n in changed)


Exchange = Callable[[Any, str], str]


def deadly(victim: str, times: int) -> Exchange:
    """The exchange with a reader; it is killed while it is asked for the victim, so many times."""
    exchange = readers._exchange
    deaths: list[str] = []

    def kill(process: subprocess.Popen[str], question: str) -> str:
        if victim in question and len(deaths) < times:
            deaths.append(question)
            process.kill()
        return exchange(process, question)

    return kill


def test_a_reader_that_is_killed_once_costs_nothing(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "_exchange", deadly(small_runs()[1].spec().id, 1))
    report = bring(tmp_path / "2.duckdb", runs, 2)
    assert len(report.added) == 3 and not report.problems
    bring(tmp_path / "1.duckdb", runs, 1)
    assert everything(tmp_path / "2.duckdb") == everything(tmp_path / "1.duckdb")


def test_a_folder_that_kills_its_readers_is_named_and_left_out(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = small_runs()[1].spec().id
    monkeypatch.setattr(readers, "_exchange", deadly(victim, 9))
    report = bring(tmp_path / "store.duckdb", runs, 2)
    (problem,) = report.problems
    assert problem.path == str(runs / victim) and "killed by signal 9, 2 times" in problem.message
    assert "left out" in problem.message and "fewer --jobs" in problem.message
    assert len(report.added) == 2


def test_a_reader_that_dies_before_it_is_asked_is_ended_like_any_other(tmp_path: Path) -> None:
    with readers._Readers(tmp_path, 1) as some:
        process = some._start()
        process.kill()
        process.wait()
        assert readers._exchange(process, "{}") == "" and some._end(process) == -9


def test_ctrl_c_leaves_whole_runs_no_process_and_no_file(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    insert = Store.insert
    met: list[str] = []

    def interrupted(self: Store, table: str, rows: Any) -> None:
        insert(self, table, rows)
        met.append(table)
        if met.count("runs") == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Store, "insert", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bring(tmp_path / "store.duckdb", runs, 2)
    monkeypatch.setattr(Store, "insert", insert)
    assert not [child for child in psutil.Process().children() if "run_reader" in " ".join(child.cmdline())]
    assert not list(place.iterdir())
    assert len(everything(tmp_path / "store.duckdb")["runs"]) == 1
    report = bring(tmp_path / "store.duckdb", runs, 2)
    assert len(report.unchanged) == 1 and len(report.added) == 2


def test_only_a_few_readings_wait_while_one_is_written(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded memory and disk: at most one finished reading for each reader lies there."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folders = [Wanted(folder) for folder in [*sorted(runs.iterdir())] * 4]
    most = 0
    with readers.readings(folders, 2) as found:
        for reading in found:
            assert reading.done == "read"
            (place,) = tmp_path.glob("palimpsest-ingest-*")
            most = max(most, sum(path.is_dir() for path in place.iterdir()))
    assert 1 <= most <= 3


def test_jobs_below_one_are_refused(tmp_path: Path) -> None:
    code, _, err = cli("store", "ingest", "--jobs", "0", home=tmp_path)
    assert code == 2 and "--jobs: expected a whole number of at least 1, got 0." in err


def test_the_command_reads_with_several_processes(runs: Path) -> None:
    code, out, _ = cli("store", "ingest", "--jobs", "2", "--quiet", home=runs.parent)
    assert code == 0 and "3 added, 0 updated, 0 unchanged, 0 problems" in out


def test_bundles_give_the_numbers_of_their_runs_with_any_number_of_readers(tmp_path: Path) -> None:
    """Both those that are read at once, since they were published, and those of strangers."""
    bundles, ledger = tmp_path / "submissions", tmp_path / "ledger.jsonl"
    for seed, action in enumerate(("publish", "publish", "include")):
        run = tmp_path / "runs" / write_run(tmp_path / "runs", replace(honest_run(), seed=seed))
        bundle = write_bundle(run, bundles, editor_sources("memit"), version="0.1.0")
        append(ledger, entry(action, bundle.name, digest=check_sealed(bundle, None)))
    found = {}
    for jobs in (1, 2):
        with Store.open(tmp_path / f"{jobs}.duckdb") as store:
            report = ingest(store, tmp_path / "none", submissions=Submissions(bundles, ledger), jobs=jobs)
        assert (len(report.added), report.problems) == (3, [])
        found[jobs] = everything(tmp_path / f"{jobs}.duckdb")
    assert found[1] == found[2]
    bring(tmp_path / "own.duckdb", tmp_path / "runs", 1)
    own = everything(tmp_path / "own.duckdb")
    for name in ("metrics", "headlines", "ability_scores", "case_scores", "rank_draws", "cases", "probes", "answers"):
        assert own[name] == found[1][name], name
