"""Wrong grids, presets and records are told by field and file, before a model is loaded."""

from pathlib import Path

import pytest

from palimpsest.cli.app import main


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ('steps = ["many", 3]\n', 'grid.toml: ft-l.steps: expected a whole number, got "many".'),
        ("steps = [3]\nstepz = [1, 2]\n", "grid.toml: ft-l.stepz: is not a field; did you mean steps?"),
        ("steps = 3\n", "grid.toml, steps: expected a list of values, got 3."),
        ("steps = [1, 2, 3, 4, 5, 6, 7]\n", "The grid has 7 combinations"),
        ("steps = [", "grid.toml: cannot be read as TOML"),
        (b"\xff\xfe", "grid.toml: cannot be read as TOML"),
    ],
)
def test_a_wrong_grid(grid: str | bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "grid.toml").write_bytes(grid if isinstance(grid, bytes) else grid.encode())
    words = ["tune", "ft-l", "--grid", str(tmp_path / "grid.toml"), "--out", str(tmp_path / "out")]
    assert main([*words, "--home", str(tmp_path / "home")]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count(said) == 1
    assert not (tmp_path / "out").exists()


def test_a_damaged_record_of_trials(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "grid.toml").write_text("steps = [1]\n")
    words = ["tune", "ft-l", "--model", "pocket-gpt2", "--grid", str(tmp_path / "grid.toml"), "--out", str(tmp_path)]
    for damaged in ("{", '{"trials": [{"steps": 3}]}', "[]"):
        (tmp_path / "pocket-gpt2.tuning.json").write_text(damaged)
        assert main([*words, "--home", str(tmp_path / "home")]) == 2
        assert "pocket-gpt2.tuning.json: is no record of trials" in capsys.readouterr().err
