"""`palimpsest ledger publish`: a folder of bundles at once, in which other things lie, and again when it has grown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from palimpsest.results.submissions.bundle import write_bundle
from palimpsest.results.submissions.editor_sources import EditorSource, editor_sources
from palimpsest.results.submissions.ledger import read_ledger
from tests.cli.helpers import cli
from tests.labs.synthetic import write_run
from tests.results.conftest import honest_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two bundles beside the modules of the package."""
    place = tmp_path / "submissions"
    for run in (replace(honest_run(), seed=seed) for seed in (0, 1)):
        made = tmp_path / "runs" / write_run(tmp_path / "runs", run)
        write_bundle(made, place, editor_sources("memit"), version="0.1.0")
    (place / "agreement.py").write_text("")
    (place / "__pycache__").mkdir()
    return place


def publish(folder: Path, *more: str) -> tuple[int, str, str]:
    names = sorted(map(str, folder.iterdir()))
    return cli("ledger", "publish", *names, "--reason", "ours", "--ledger", str(folder.parent / "ledger.jsonl"), *more)


def test_a_folder_of_bundles_is_published_with_its_modules_left_out_and_what_is_new_later(folder: Path) -> None:
    ledger = folder.parent / "ledger.jsonl"
    newer, *_ = [path for path in sorted(folder.iterdir()) if (path / "bundle.json").exists()]
    newer.rename(folder.parent / newer.name)
    code, out, err = publish(folder)
    assert (code, out.strip()) == (0, "1 published."), err
    (folder.parent / newer.name).rename(newer)
    code, out, _ = publish(folder)
    assert (code, out.strip()) == (0, "1 published, 1 on the leaderboard already.")
    assert [(line.action, line.run == newer.name) for line in read_ledger(ledger)] == [
        ("publish", False), ("publish", True)
    ]  # fmt: skip


def test_where_one_bundle_is_damaged_none_is_published(folder: Path) -> None:
    last = max(path for path in folder.iterdir() if (path / "bundle.json").exists())
    (last / "spec.json").write_text("{}")
    code, _, err = publish(folder)
    assert code == 2 and last.name in err and "Traceback" not in err
    assert not (folder.parent / "ledger.jsonl").exists()


def test_a_folder_without_bundles_is_told(tmp_path: Path) -> None:
    (tmp_path / "submissions").mkdir()
    (tmp_path / "submissions" / "agreement.py").write_text("")
    code, _, err = publish(tmp_path / "submissions")
    assert code == 2 and "no bundle among them" in err


def test_what_was_withdrawn_or_replaced_comes_back_only_by_name(folder: Path) -> None:
    ledger = folder.parent / "ledger.jsonl"
    gone, other = [path for path in sorted(folder.iterdir()) if (path / "bundle.json").exists()]
    assert publish(folder)[1].strip() == "2 published."
    record = ("--reason", "wrong seed", "--ledger", str(ledger))
    assert cli("ledger", "withdraw", str(gone), *record)[0] == 0
    code, out, err = publish(folder)
    assert (code, out.strip()) == (0, "0 published, 1 on the leaderboard already, 1 left out.")
    assert f"{gone.name} is left out: it was withdrawn on" in err and "(wrong seed)" in err
    assert cli("ledger", "replace", str(gone), other.name, *record)[0] == 0
    code, out, err = publish(folder)
    assert out.strip() == "0 published, 1 on the leaderboard already, 1 left out." and "it was replaced on" in err
    assert publish(folder, "--also", other.name)[1].strip() == "1 published, 1 on the leaderboard already."
    assert [line.action for line in read_ledger(ledger)] == ["publish"] * 2 + ["withdraw", "replace", "publish"]


def test_a_stranger_s_bundle_that_waits_is_not_published_by_the_way(folder: Path) -> None:
    run = folder.parent / "runs" / write_run(folder.parent / "runs", replace(honest_run(), seed=7, editor="theirs"))
    theirs = write_bundle(run, folder, [EditorSource("theirs", "their-editors", "1.0", "0" * 64)], version="0.1.0")
    code, out, err = publish(folder)
    assert (code, out.strip()) == (0, "2 published, 1 left out.")
    assert f"{theirs.name} is left out: its editor is of their-editors" in err and f"--also {theirs.name}" in err
    assert theirs.name not in {line.run for line in read_ledger(folder.parent / "ledger.jsonl")}
    assert publish(folder, "--also", theirs.name)[0] == 2, "it is checked like any other"


def test_only_what_is_named_can_be_published_also(folder: Path) -> None:
    code, _, err = publish(folder, "--also", "0123456789ab")
    assert code == 2 and "--also 0123456789ab: expected the id of a run whose bundle is named" in err
    assert not (folder.parent / "ledger.jsonl").exists()


def test_the_environment_names_the_folder_whose_bundles_are_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert publish(folder)[0] == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert "0 added" in cli("store", "ingest", "--quiet", home=tmp_path / "home")[1]
    monkeypatch.setenv("PALIMPSEST_SUBMISSIONS", str(folder))
    assert "2 added" in cli("store", "ingest", "--quiet", home=tmp_path / "home")[1]
