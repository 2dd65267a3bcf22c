"""The page that is built while runs go on: with the runs of the home alone, at last with what was published, too."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from palimpsest.cli.page_builder import PageBuilder
from palimpsest.harness.system import child
from palimpsest.results.store import bulk
from palimpsest.results.store.database import STORE_NAME, Store
from palimpsest.results.submissions.bundle import check_sealed, write_bundle
from palimpsest.results.submissions.editor_sources import editor_sources
from palimpsest.results.submissions.ledger import append
from tests.labs.synthetic import write_run
from tests.results.conftest import honest_run, small_runs
from tests.results.submissions.test_ledger import entry


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle that was published, in the clone that is worked in."""
    clone = tmp_path / "clone"
    run = tmp_path / "elsewhere" / write_run(tmp_path / "elsewhere", honest_run())
    made = write_bundle(run, clone / "results" / "submissions", editor_sources("memit"), version="0.1.0")
    append(clone / "results" / "ledger.jsonl", entry("publish", made.name, digest=check_sealed(made, None)))
    monkeypatch.delenv("PALIMPSEST_SUBMISSIONS")
    monkeypatch.chdir(clone)
    return made


def noted(told: list[tuple[str, ...]], code: int = 0) -> Callable[..., subprocess.CompletedProcess[str]]:
    """In place of `child.run`: every ingest ends with ``code``."""

    def run(*words: str, **_: object) -> subprocess.CompletedProcess[str]:
        told.append(words)
        return subprocess.CompletedProcess(words, code if "ingest" in words else 0, "", "one.parquet is damaged")

    return run


def until(told: list[tuple[str, ...]], count: int) -> None:
    end = time.monotonic() + 20
    while len(told) < count and time.monotonic() < end:
        time.sleep(0.01)


def test_the_page_of_a_fresh_clone_shows_its_own_run_and_the_published_ones(bundle: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    own = write_run(home / "runs", small_runs()[0])
    builder = PageBuilder(home)
    builder.again()
    builder.close()
    with Store.open(home / STORE_NAME, read_only=True) as store:
        assert {head.run_id for head in bulk.run_heads(store)} == {own, bundle.name}
    assert (home / "site" / "run" / f"{bundle.name}.html").is_file()


def test_no_bundle_takes_the_cores_from_runs_that_go_on(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr(child, "run", noted(told))
    builder = PageBuilder(tmp_path / "home")
    for count in (2, 4):
        builder.again()
        until(told, count)
    builder.close()
    *before, last = [words[words.index("--submissions") + 1] for words in told if "ingest" in words]
    assert set(before) == {os.devnull} and last == str(bundle.parent)
    assert ["ingest" in words for words in told] == [True, False] * (len(told) // 2)


def test_nobody_who_stops_the_runs_waits_for_bundles(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr(child, "run", noted(told))
    builder = PageBuilder(tmp_path / "home")
    builder.again(stopped=True)
    builder.close()
    assert told and all(str(bundle.parent) not in words for words in told)


def test_a_bundle_that_is_left_out_keeps_nothing_else_from_the_page(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr(child, "run", noted(told, code=1))
    builder = PageBuilder(tmp_path / "home")
    builder.again()
    until(told, 2)
    builder.close()
    assert sum("build" in words for words in told) == len(told) / 2
    assert capsys.readouterr().err.count("Not all is on the page: one.parquet is damaged") == 1
