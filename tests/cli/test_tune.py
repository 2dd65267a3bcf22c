"""Wrong grids, presets and records are told by field and file, before a model is loaded."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from palimpsest.cli.app import main
from palimpsest.cli.ticket_kinds import TrialTicket
from palimpsest.cli.verbs import tune as verb
from palimpsest.harness.authoring import tuning
from palimpsest.harness.fleet.dispatch import RunEnd
from tests.cli.helpers import cli


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


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command of a tuning of four edits a trial."""
    for name, value in (("EDITS", 4), ("BATCH_SIZE", 2), ("ABILITY_LIMIT", 2)):
        monkeypatch.setattr(tuning, name, value)
    (tmp_path / "grid.toml").write_text("norm_constraint = [1e-3, 1e-2]\n")
    words = ["tune", "ft-l", "--model", "pocket-gpt2", "--grid", str(tmp_path / "grid.toml")]
    return [*words, "--home", str(tmp_path / "home"), "--json"]


def without_seconds(record: Path) -> dict[str, Any]:
    stored = json.loads(record.read_text())
    for trial in stored["trials"]:
        del trial["seconds"]
    return dict(stored)


def test_trials_two_at_once_give_the_record_and_preset_of_one_after_another(small: list[str], tmp_path: Path) -> None:
    found = []
    for on in ("local:1", "local:2"):
        out = tmp_path / on
        code, _, err = cli(*small, "--out", str(out), "--on", on)
        assert code == 0, err
        assert ("2 trials, 2 at once" in err) == (on == "local:2")
        assert "trial 1: " in err and "trial 2: " in err
        found.append((without_seconds(out / "pocket-gpt2.tuning.json"), (out / "pocket-gpt2.toml").read_text()))
    assert found[0] == found[1]
    assert not list((tmp_path / "home" / "fleet").iterdir())


def test_a_trial_that_could_not_be_done_is_told_and_the_others_are_kept(
    small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {"score_argmax": 50.0, "abilities_kept": 90.0, "objective": 0.6, "seconds": 1.0}

    def played(tickets: Sequence[TrialTicket], count: int, *, tell: Any) -> dict[str, RunEnd]:
        first, *others = tickets
        tell(first.name, {"event": "trial", "trial": {"config": first.config, **good}})
        reason = "its process ended 3 times: killed by signal 9."
        return {first.name: RunEnd("done", 0)} | {one.name: RunEnd("given up", 1, reason) for one in others}

    monkeypatch.setattr(verb, "dispatch", played)
    code, _, err = cli(*small, "--out", str(tmp_path), "--on", "local:2")
    assert code == 1 and "{'norm_constraint': 0.01}: its process ended 3 times: killed by signal 9." in err
    record = json.loads((tmp_path / "pocket-gpt2.tuning.json").read_text())
    assert [trial["config"] for trial in record["trials"]] == [{"norm_constraint": 0.001}]
    assert not (tmp_path / "pocket-gpt2.toml").exists()

    asked: list[TrialTicket] = []

    def interrupted(tickets: Sequence[TrialTicket], count: int, *, tell: Any) -> dict[str, RunEnd]:
        asked.extend(tickets)
        return {one.name: RunEnd("stopped", 130) for one in tickets}

    (tmp_path / "grid.toml").write_text("norm_constraint = [1e-3, 1e-2, 1e-1]\n")
    monkeypatch.setattr(verb, "dispatch", interrupted)
    code, _, err = cli(*small, "--out", str(tmp_path), "--on", "local:2")
    assert code == 130 and "1 trials are recorded" in err
    assert [one.config["norm_constraint"] for one in asked] == [1e-2, 1e-1], "what is recorded is not done again"
