"""Nights: real small runs, the same numbers the next night, and what is said when a number moves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from palimpsest.harness.cli.app import main


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one night of the smoke suite."""
    home = tmp_path_factory.mktemp("nights")
    assert main(["nightly", "--suite", "smoke", "--day", "2026-01-01", "--home", str(home), "--quiet"]) == 0
    return home


@pytest.fixture
def home(first: Path, tmp_path: Path) -> Path:
    """Two nights with the same runs."""
    place = Path(shutil.copytree(first, tmp_path / "home"))
    shutil.copytree(place / "nights" / "2026-01-01", place / "nights" / "2026-01-02")
    (place / "nights" / "2026-01-02" / "night.json").unlink()
    return place


def again(home: Path, *more: str) -> int:
    return main(["nightly", "--suite", "smoke", "--day", "2026-01-02", "--home", str(home), "--quiet", *more])


def change(home: Path, **values: object) -> None:
    path = home / "nights" / "2026-01-01" / "night.json"
    night = json.loads(path.read_text())
    for number in night["numbers"]:
        if number["metric"] == "efficacy_preference" and number["editor"] == "memit":
            number |= values
    path.write_text(json.dumps(night))


def test_a_night_that_is_there_goes_on_and_nothing_moved(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert again(home) == 0
    assert "0 moved" in capsys.readouterr().out
    assert (home / "site" / "index.html").is_file()


def test_a_number_of_ours_that_left_its_interval_fails_the_night(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(home, value=1.0, low=0.5, high=1.5)
    assert again(home, "--report", str(tmp_path / "report.md")) == 1
    told = "memit, seed 0: efficacy_preference was 1 (interval 0.5 to 1.5) and is"
    assert told in capsys.readouterr().out and told in (tmp_path / "report.md").read_text()


def test_a_third_party_s_number_may_move(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(home, value=1.0, low=0.5, high=1.5, distribution="someone-else")
    assert again(home) == 0
    assert "1 moved, 0 of built-in editors" in capsys.readouterr().out


def test_a_number_that_is_no_longer_measured_has_moved(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(home, metric="efficacy_of_old")
    assert again(home) == 1
    assert "is no longer measured" in capsys.readouterr().out


def test_a_damaged_night_and_a_wrong_day_are_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "nights" / "2026-01-01" / "night.json").write_text("{")
    assert again(home) != 0
    assert "2026-01-01/night.json" in capsys.readouterr().err
    assert main(["nightly", "--day", "tomorrow", "--home", str(home)]) == 2
