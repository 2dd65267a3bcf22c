"""`palimpsest table` on synthetic runs."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.helpers import cli
from tests.labs.synthetic import SyntheticRun, write_run

ONE = SyntheticRun(checkpoints=(0, 10, 40), batch_size=10, neighborhood=2, half=60, order_seed="run")
OTHER = replace(ONE, editor="alphaedit", half=20)
ELSEWHERE = replace(ONE, form="zsre")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("home")
    for run in (*(replace(run, seed=seed) for run in (ONE, OTHER) for seed in range(3)), ELSEWHERE):
        write_run(place / "runs", run)
    assert cli("store", "ingest", home=place)[0] == 0
    return place


def test_the_table_of_a_track_comes_in_three_forms_from_the_beginning_of_its_id(home: Path, tmp_path: Path) -> None:
    track = ONE.spec().track_id
    code, out, err = cli("table", track[:6], "--bib", str(tmp_path / "board.bib"), home=home)
    assert code == 0, err
    assert r"\toprule" in out and track in out and r"\textbf{" in out and r"\cite{meng2023massediting}" in out
    assert "@misc{meng2023massediting," in (tmp_path / "board.bib").read_text(encoding="utf-8")
    assert "| Rank | Editor |" in cli("table", track, "--format", "markdown", home=home)[1]
    code, out, _ = cli("table", track, "--format", "csv", "--at", "10", home=home)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert (
        code == 0
        and {row["editor"] for row in rows} == {"memit", "alphaedit"}
        and {row["edits"] for row in rows} == {"10"}
    )


def test_a_file_gets_what_is_printed_otherwise(home: Path, tmp_path: Path) -> None:
    track = ONE.spec().track_id
    assert cli("table", track, "--out", str(tmp_path / "board.tex"), home=home)[0] == 0
    assert (tmp_path / "board.tex").read_text(encoding="utf-8") == cli("table", track, home=home)[1]


def test_without_a_name_several_tracks_are_listed(home: Path) -> None:
    code, _, err = cli("table", home=home)
    assert code == 2 and ONE.spec().track_id in err and ELSEWHERE.spec().track_id in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nonsense"], "nonsense"),
        (["--format", "word"], "markdown"),
        (["--at", "11"], "10, 40"),
        (["--at", "0"], "10, 40"),
    ],
)
def test_a_wrong_word_is_told_with_what_there_is(home: Path, words: list[str], told: str) -> None:
    track = [] if words == ["nonsense"] else [ONE.spec().track_id]
    code, _, err = cli("table", *track, *words, home=home)
    assert code == 2 and told in err
