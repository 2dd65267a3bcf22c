"""Nights: real small runs, the same numbers the next night, and what is said when a number moves."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from palimpsest.cli.app import main
from palimpsest.results.nights import Night, forget_runs, next_night, write_night


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one night of the smoke suite, done in this process, which has loaded all that it needs."""
    home = tmp_path_factory.mktemp("nights")
    words = ["--suite", "smoke", "--day", "2026-01-01", "--home", str(home), "--quiet", "--on", "local:1"]
    assert main(["nightly", *words]) == 0
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


def test_a_night_that_was_killed_while_its_numbers_were_written_leaves_no_half_of_them(tmp_path: Path) -> None:
    night = Night(day="2026-01-02", commit=None, version="0.1.0", tracks={}, numbers=())
    (tmp_path / ".night.json.123.abc.partial").write_text("{")
    write_night(tmp_path / "night.json", night)
    assert [path.name for path in tmp_path.iterdir()] == ["night.json"]


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


def test_a_run_that_cannot_be_read_fails_the_night_and_keeps_no_numbers(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreadable(run: object) -> None:
        raise ValueError("the rows make no sense")

    folder = home / "nights" / "2026-01-02"
    (folder / "palimpsest.duckdb").unlink()
    monkeypatch.setattr("palimpsest.results.store.run_reader.aggregate_run", unreadable)
    assert again(home) == 1
    assert "the rows make no sense" in capsys.readouterr().err
    assert not (folder / "night.json").exists()


def test_a_night_that_was_cut_off_goes_on_and_a_finished_one_does_not(tmp_path: Path) -> None:
    today = datetime.now(UTC).date().isoformat()
    assert next_night(tmp_path / "nights") == today
    for day in ("2026-01-01", "2026-01-02"):
        (tmp_path / "nights" / day / "runs").mkdir(parents=True)
    assert next_night(tmp_path / "nights") == "2026-01-02"
    (tmp_path / "nights" / "2026-01-02" / "night.json").write_text("{}")
    assert next_night(tmp_path / "nights") == today


def test_of_older_nights_only_the_numbers_stay(tmp_path: Path) -> None:
    nights = tmp_path / "nights"
    for day in ("2026-01-01", "2026-01-02", "2026-01-03"):
        (nights / day / "runs" / "0123456789ab").mkdir(parents=True)
        (nights / day / "palimpsest.duckdb").write_bytes(b"store")
        if day != "2026-01-03":
            (nights / day / "night.json").write_text(day)
    outside = tmp_path / "precious"
    outside.mkdir()
    (outside / "thesis").write_text("t")
    (nights / "2026-01-01" / "link").symlink_to(outside)
    forget_runs(nights, 1)
    assert [path.name for path in (nights / "2026-01-01").iterdir()] == ["night.json"]
    assert (nights / "2026-01-02" / "runs").is_dir() and (nights / "2026-01-03" / "runs").is_dir()
    assert (outside / "thesis").is_file()


@pytest.mark.parametrize(
    "url", ["example.org", "javascript:alert(1)", "https://x/?q", 'https://x/"><script>', "ftp://x"]
)
def test_only_an_address_on_the_web_is_one(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nightly", "--base-url", url]) == 2
    assert "--base-url" in capsys.readouterr().err


def test_a_damaged_night_and_a_wrong_day_are_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "nights" / "2026-01-01" / "night.json").write_text("{")
    assert again(home) != 0
    assert "2026-01-01/night.json" in capsys.readouterr().err
    assert main(["nightly", "--day", "tomorrow", "--home", str(home)]) == 2
