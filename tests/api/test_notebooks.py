"""The literate scripts of docs/notebooks run as they stand, on what ships or on a small home."""

from __future__ import annotations

import re
import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.helpers import cli
from tests.labs.synthetic import SyntheticRun, write_run

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
ONE = SyntheticRun(checkpoints=(0, 10, 40), batch_size=10, neighborhood=2, half=60)


def test_edit_a_model_and_look(capsys: pytest.CaptureFixture[str]) -> None:
    values = runpy.run_path(str(FOLDER / "edit_a_model.py"))
    moved = re.findall(r"(\w+)_argmax +([\d.]+) -> +([\d.]+)", capsys.readouterr().out)
    found = {name: (float(old), float(new)) for name, old, new in moved}
    assert set(found) == {"efficacy", "paraphrase", "neighborhood"}
    assert found["efficacy"][0] < 20 and found["efficacy"][1] > 50
    assert len(values["table"]) == len(values["before"].outcomes)


def test_analyse_a_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for run in (replace(one, seed=seed) for one in (ONE, replace(ONE, editor="ft-l", half=15)) for seed in range(2)):
        write_run(tmp_path / "runs", run)
    assert cli("store", "ingest", home=tmp_path)[0] == 0
    monkeypatch.setenv("PALIMPSEST_HOME", str(tmp_path))
    values = runpy.run_path(str(FOLDER / "analyse_a_board.py"))
    assert (values["worst"], values["best"]) == ("ft-l", "memit")
    assert list(values["curves"].columns) == ["ft-l", "memit"] and 0 < len(values["kept"]) < len(values["held"])
    assert "held by memit alone" in capsys.readouterr().out


def test_every_script_of_the_folder_is_run_here() -> None:
    assert {path.name for path in FOLDER.glob("*.py")} == {"edit_a_model.py", "analyse_a_board.py"}
