"""`--keep none` as a user meets it: room is made, and `export` says what it has to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.helpers import cli
from tests.cli.test_run import FT_L
from tests.cli.test_run import model as model  # the fixture


def command(model: Path, *more: str) -> list[str]:
    settings = [part for key, value in FT_L.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    return [
        *("run", "--model", str(model), "--editor", "ft-l", "--task", "pocket-counterfact", "--edits", "4"),
        *("--batch-size", "2", "--checkpoints", "0,4", "--sample", "3", *settings, "--json", *more),
    ]


def test_saves_go_and_export_says_that_it_makes_the_edits_again(model: Path, tmp_path: Path) -> None:
    code, out, err = cli(*command(model, "--keep", "none"), home=tmp_path)
    assert code == 0, err
    (result,) = json.loads(out)
    assert result["status"] == "complete" and not list((Path(result["folder"]) / "checkpoints").glob("*"))
    code, _, err = cli(
        "export", result["run"], str(tmp_path / "edited"), "--edits", "4", "--model", str(model), home=tmp_path
    )
    assert code == 0 and "keeps no weights (--keep none)" in err and (tmp_path / "edited" / "config.json").exists()


@pytest.mark.parametrize(
    ("more", "named"),
    [(["--keep", "some"], "newest, all or none"), (["--keep-all", "--keep", "none"], "contradict each other")],
)
def test_other_words_and_contradictions_are_refused(model: Path, tmp_path: Path, more: list[str], named: str) -> None:
    code, _, err = cli(*command(model, *more), home=tmp_path)
    assert code == 2 and named in err and not (tmp_path / "runs").exists()
