"""Bundles damaged at random, but seeded: the check always ends, within bounds, and says what is wrong in words."""

from __future__ import annotations

import contextlib
import json
import random
import resource
import shutil
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from palimpsest.cli.app import main
from palimpsest.harness.errors import MissingResource
from palimpsest.results.store.database import Store
from palimpsest.results.store.ingest import Submissions, ingest
from palimpsest.results.submissions.bounded import verify_bounded
from palimpsest.results.submissions.bundle import MANIFEST, check_sealed, write_bundle
from palimpsest.results.submissions.ledger import Entry, append
from palimpsest.results.submissions.verify import Verification, verify_bundle
from tests.labs import mutations
from tests.labs.synthetic import write_run
from tests.results.conftest import honest_run
from tests.results.submissions.test_verify import SOURCES, reseal

PATIENCE = 30.0
"""Seconds that one check may take on a busy machine; it usually takes a tenth."""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("submission")
    run = folder / "runs" / write_run(folder / "runs", honest_run())
    return write_bundle(run, folder / "out", SOURCES, version="0.1.0")


def plain(bundle: Path) -> bool:
    return all(not path.is_symlink() and (path.is_dir() or path.is_file()) for path in bundle.rglob("*"))


def checked(bundle: Path, did: object) -> Verification:
    started = time.perf_counter()
    found = verify_bundle(bundle)
    assert time.perf_counter() - started < PATIENCE, did
    for problem in found.problems:
        assert problem.message and len(problem.message) <= 1000 and len(problem.path) <= 300, did
        assert problem.path.isprintable() and problem.message.isprintable(), did
    return found


@pytest.mark.parametrize("mutation", mutations.ALL, ids=lambda one: one.__name__)
@pytest.mark.parametrize("sealed", [False, True], ids=["as it is", "with true checksums"])
def test_no_damage_makes_the_check_fail(
    original: Path, tmp_path: Path, mutation: mutations.Mutation, sealed: bool
) -> None:
    for seed in range(10):
        rng = random.Random(f"{mutation.__name__} {seed} {sealed}")
        bundle = Path(shutil.copytree(original, tmp_path / str(seed) / original.name))
        did = [mutation(rng, bundle)]
        if sealed and plain(bundle) and (bundle / MANIFEST).is_file():
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, OSError):
                reseal(bundle)  # unless what was damaged is what would have to be sealed
        found = checked(bundle, did)
        if not sealed:
            assert not found.good, did


def test_damage_in_many_places_is_all_told(original: Path, tmp_path: Path) -> None:
    for seed in range(20):
        rng = random.Random(seed)
        bundle = Path(shutil.copytree(original, tmp_path / str(seed) / original.name))
        did = [rng.choice(mutations.ALL[:5])(rng, bundle) for _ in range(1)]
        did += [mutations.flip_bytes(rng, bundle) for _ in range(4)]
        assert not checked(bundle, did).good, did


def bomb(path: Path, rows: int) -> None:
    """Few bytes that unpack to many: one value, run-length encoded, in a column that may hold text."""
    table = pq.read_table(path)
    text = next(name for name in table.column_names if pa.types.is_string(table.schema.field(name).type))
    columns = {
        name: pa.array(np.zeros(rows, np.int8)) if name != text else pa.array(["x" * 1_000_000]).dictionary_encode()
        for name in table.column_names
    }
    columns[text] = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * 1_000_000]))
    pq.write_table(pa.table(columns), path, compression="zstd")


def test_a_table_that_bursts_is_refused_within_bounds(original: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(original, tmp_path / original.name))
    bomb(bundle / "scores" / "000040" / "answers.parquet", 2_000_000)
    reseal(bundle)
    assert (bundle / "scores" / "000040" / "answers.parquet").stat().st_size < 10_000_000
    started = time.perf_counter()
    problems = verify_bounded(bundle, memory=6_000_000_000, seconds=20).problems
    assert problems and time.perf_counter() - started < 45


def test_a_limit_of_this_machine_is_not_the_fault_of_the_bundle(original: Path) -> None:
    most, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(MissingResource, match="ulimit -f"):
            verify_bounded(original)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))


def test_an_included_table_that_bursts_is_never_opened_by_the_process_of_the_store(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    monkeypatch.setattr(
        "palimpsest.results.store.run_reader.read_run_folder", lambda folder, digest: opened.append(folder)
    )
    monkeypatch.setattr("palimpsest.results.submissions.bounded.MEMORY", 6_000_000_000)
    bundle = Path(shutil.copytree(original, tmp_path / original.name))
    bomb(bundle / "scores" / "000040" / "answers.parquet", 2_000_000)
    reseal(bundle)
    place = Submissions(tmp_path, tmp_path / "ledger.jsonl")
    line = {"time": "2026-01-02T03:04:05+00:00", "action": "include", "run": bundle.name, "editor": "memit"}
    append(place.ledger, Entry(**line, reason="by hand", digest=check_sealed(bundle, None)))
    with Store.open(tmp_path / "store.duckdb") as store:
        report = ingest(store, tmp_path / "runs", submissions=place)
    assert [problem.path for problem in report.problems] == [str(bundle)] and opened == []


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 50_000, '{"format": 1e999}', '{"run": "' + "x" * 7_000_000 + '"}', "9" * 1_000_000],
    ids=["deep list", "deep object", "infinite", "long text", "long number"],
)
@pytest.mark.parametrize("name", [MANIFEST, "spec.json", "environment.json", "result.json", "events.jsonl"])
def test_json_that_is_meant_to_hurt_is_a_problem_like_any_other(
    original: Path, tmp_path: Path, name: str, text: str
) -> None:
    bundle = Path(shutil.copytree(original, tmp_path / original.name))
    (bundle / name).write_text(text)
    if name != MANIFEST:
        reseal(bundle)
    assert not checked(bundle, name).good


def test_the_command_never_shows_a_traceback(
    original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundles = []
    for place, mutation in enumerate((mutations.flip_bytes, mutations.change_json, mutations.mislead)):
        bundle = Path(shutil.copytree(original, tmp_path / str(place) / original.name))
        mutation(random.Random(5), bundle)
        bundles.append(str(bundle))
    nothing = tmp_path / "nothing"
    nothing.write_text("")
    assert main(["verify", *bundles, str(nothing), str(tmp_path / "missing"), "--json"]) == 1
    told = capsys.readouterr()
    assert "Traceback" not in told.out + told.err
    results = json.loads(told.out)
    assert len(results) == 5 and all(result["problems"] for result in results)
