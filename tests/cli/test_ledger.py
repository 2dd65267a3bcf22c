"""`palimpsest ledger publish`: a folder of bundles at once, in which other things lie, and again when it has grown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from palimpsest.results.submissions.bundle import write_bundle
from palimpsest.results.submissions.editor_sources import editor_sources
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


def publish(folder: Path) -> tuple[int, str, str]:
    names = sorted(map(str, folder.iterdir()))
    return cli("ledger", "publish", *names, "--reason", "ours", "--ledger", str(folder.parent / "ledger.jsonl"))


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
