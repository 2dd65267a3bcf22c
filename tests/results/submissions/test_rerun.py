"""A real run is submitted, checked and done again: the same bits; a consistent lie is found by doing it again only."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from palimpsest.cli.app import main
from palimpsest.harness.errors import RunFailed
from palimpsest.results.reading.made_texts import TEXT_FILES
from palimpsest.results.submissions.agreement import Agreement
from palimpsest.results.submissions.bounded import compare_bounded
from palimpsest.results.submissions.rerun import Rerun

RUN = [
    *("run", "--model", "pocket-gpt2", "--task", "pocket-counterfact", "--editor", "ft-l", "--edits", "6"),
    *("--batch-size", "3", "--checkpoints", "0,3,6", "--abilities", "none", "--generation", "2", "--top", "--quiet"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    assert main([*RUN, "--home", str(home)]) == 0
    return home


def submitted(home: Path, out: Path) -> Path:
    (run,) = (home / "runs").iterdir()
    assert main(["submit", run.name, "--out", str(out), "--home", str(home)]) == 0
    return out / run.name


@pytest.fixture(scope="module")
def bundle(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of the run; not to be changed."""
    return submitted(home, tmp_path_factory.mktemp("bundles") / "out")


def test_an_honest_run_gives_the_same_bits_again_and_no_table_of_the_bundle_is_opened_outside_the_bounds(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    parquet_file = pq.ParquetFile

    def noted(source: Any, *rest: Any, **options: Any) -> Any:
        opened.append(str(source))
        return parquet_file(source, *rest, **options)

    def refused(folder: Path, *_: Any) -> Any:
        raise AssertionError(f"{folder} was parsed in the parent")

    monkeypatch.setattr("palimpsest.results.submissions.bounded.verify_bundle", refused)
    monkeypatch.setattr("palimpsest.results.submissions.bounded.read_score_folder", refused)
    monkeypatch.setattr("palimpsest.results.reading.tables.pq.ParquetFile", noted)
    assert main(["verify", str(bundle), "--rerun", "--home", str(tmp_path / "fresh"), "--json"]) == 0
    assert not [place for place in opened if "BufferReader" in place or str(bundle) in place]
    (result,) = json.loads(capsys.readouterr().out)
    assert result["problems"] == [] and result["rerun"]["verdict"] == "bits" and result["rerun"]["same_source"]
    assert [point["edits"] for point in result["rerun"]["checkpoints"]] == [3, 6]
    assert not any((bundle / name).exists() for name in TEXT_FILES), "the task has them, and so has the re-run"


def test_a_bundle_that_is_swapped_while_its_run_is_done_again_gets_no_verdict(home: Path, bundle: Path) -> None:
    (run,) = (home / "runs").iterdir()
    with pytest.raises(RunFailed, match="was changed while its run was done again"):
        compare_bounded(bundle, "0" * 64, run, [3])


def test_a_consistent_lie_is_found_by_doing_it_again(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    liar = Path(shutil.copytree(home, tmp_path / "home"))
    (run,) = (liar / "runs").iterdir()
    scores = run / "scores" / "000006"
    table = pq.read_table(scores / "probes.parquet")
    place = table.schema.get_field_index("nll_new")
    half = pc.multiply(table["nll_new"], pa.scalar(0.5))  # of what is the first choice anyway, so that all fits
    better = table.set_column(place, "nll_new", pc.if_else(table["exact_new"], half, table["nll_new"]))
    pq.write_table(better, scores / "probes.parquet")
    manifest = json.loads((scores / "manifest.json").read_text())
    data = (scores / "probes.parquet").read_bytes()
    manifest["files"]["probes.parquet"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (scores / "manifest.json").write_text(json.dumps(manifest))
    bundle = submitted(liar, tmp_path / "out")  # sums, means and checksums all fit
    assert main(["verify", str(bundle)]) == 0
    capsys.readouterr()
    assert main(["verify", str(bundle), "--rerun", "--home", str(tmp_path / "fresh")]) == 1
    assert "the re-run DIFFERS" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("nats", "different", "bits", "platform", "same_source", "verdict"),
    [
        (0.0, 0.0, True, (), True, "bits"),
        (1e-6, 0.0, False, (), True, "differs"),
        (1e-6, 0.0, False, ("cpu A → B",), True, "tolerance"),
        (1e-6, 0.0, False, (), False, "tolerance"),
        (0.05, 0.0, False, ("cpu A → B",), True, "differs"),
        (0.0, 0.02, False, ("cpu A → B",), True, "differs"),
        (float("inf"), 1.0, False, ("cpu A → B",), True, "differs"),
    ],
)
def test_bits_are_asked_for_on_the_same_platform_and_agreement_elsewhere(
    nats: float, different: float, bits: bool, platform: tuple[str, ...], same_source: bool, verdict: str
) -> None:
    point = Agreement(6, same_bits=bits, mean_nats=nats, different=different)
    assert Rerun("0" * 12, (point,), platform, same_source).verdict == verdict


def test_another_version_of_the_editor_is_refused(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forged = Path(shutil.copytree(bundle, tmp_path / bundle.name))
    manifest = json.loads((forged / "bundle.json").read_text())
    manifest["editors"][0]["version"] = "9.9"
    (forged / "bundle.json").write_text(json.dumps(manifest))
    assert main(["verify", str(forged), "--rerun", "--home", str(tmp_path / "fresh")]) == 1
    assert "version 9.9, but the spec says" in capsys.readouterr().out
