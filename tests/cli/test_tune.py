"""`palimpsest tune`: wrong grids and records are told before a model is loaded; trials side by side are the same."""

import json
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from palimpsest.cli.app import main
from palimpsest.cli.ticket_kinds import TrialTicket
from palimpsest.cli.tuning import campaign, protocol
from palimpsest.cli.tuning.abilities import AbilityChoice
from palimpsest.cli.verbs import tune
from palimpsest.harness.errors import UsageError
from palimpsest.harness.fleet.dispatch import RunEnd
from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.specs.cases import EditTask
from tests.cli.helpers import cli


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ('steps = ["many", 3]\n', 'grid.toml: ft-l.steps: expected a whole number, got "many".'),
        ("steps = [3]\nstepz = [1, 2]\n", "grid.toml: ft-l.stepz: is not a field; did you mean steps?"),
        ("steps = 3\n", "grid.toml, steps: expected a list of values, got 3."),
        ("", "grid.toml: no field with values."),
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


@pytest.mark.parametrize("words", [[], ["memit", "--all"]])
def test_either_one_editor_or_all(words: list[str], tmp_path: Path) -> None:
    code, _, err = cli("tune", *words, "--home", str(tmp_path))
    assert code == 2 and "expected the name of one editor, or --all" in err


def test_a_damaged_record_of_trials(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "grid.toml").write_text("steps = [1]\n")
    words = ["tune", "ft-l", "--model", "pocket-gpt2", "--grid", str(tmp_path / "grid.toml"), "--out", str(tmp_path)]
    for damaged in ("{", '{"trials": 3}', "[]"):
        (tmp_path / "pocket-gpt2.tuning.json").write_text(damaged)
        assert main([*words, "--home", str(tmp_path / "home")]) == 2
        assert "pocket-gpt2.tuning.json: is no record of trials" in capsys.readouterr().err


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command of three tunings of four edits a trial."""
    for name, value in (("EDITS", 4), ("BATCH_SIZE", 2), ("ABILITY_LIMIT", 2), ("BUDGET", 2)):
        monkeypatch.setattr(protocol, name, value)
    (tmp_path / "grid.toml").write_text(
        '["rect(ft-l)"]\nkept_share = [0.5, 0.9]\n'
        "[ft]\nlearning_rate = [1e-3, 1e-4]\n"
        "[ft-l]\nnorm_constraint = { values = [1e-3, 1e-2], published = 1e-3 }\n"
    )
    words = ["tune", "--all", "--model", "pocket-gpt2", "--grid", str(tmp_path / "grid.toml")]
    return [*words, "--home", str(tmp_path / "home")]


def without_seconds(record: Path) -> dict[str, Any]:
    stored = json.loads(record.read_text())
    for trial in stored["trials"]:
        del trial["cpu_seconds"]
    return dict(stored)


def test_trials_two_at_once_give_the_records_and_presets_of_one_after_another(small: list[str], tmp_path: Path) -> None:
    found = []
    for on in ("local:1", "local:2"):
        out = tmp_path / on
        code, printed, err = cli(*small, "--out", str(out), "--on", on)
        assert code == 0, err
        assert ("3 editors, 2 trials at once" in err) == (on == "local:2")
        assert "rect(ft-l), trial 2: " in err and "effective edits" in printed
        order = [line.split(",")[0] for line in err.splitlines() if ", trial " in line]
        assert sorted(order) == ["ft", "ft", "ft-l", "ft-l", "rect(ft-l)", "rect(ft-l)"]
        assert order.index("rect(ft-l)") > order.index("ft-l") + 1, "a host before its filter"
        records = sorted(out.glob("*/pocket-gpt2.tuning.json"))
        found.append([(without_seconds(one), one.with_name("pocket-gpt2.toml").read_text()) for one in records])
        assert [one.parent.name for one in records] == ["ft", "ft-l", "rect"]
    assert found[0] == found[1]
    assert not list((tmp_path / "home" / "fleet").iterdir())
    filtered = found[0][2][0]
    assert filtered["host"]["norm_constraint"] == found[0][1][0]["chosen"]["norm_constraint"], (
        "around what was just tuned"
    )


def test_a_trial_that_could_not_be_done_is_told_and_the_others_are_kept(
    small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def played(tickets: Sequence[TrialTicket], count: int, *, tell: Any, follow: Any) -> dict[str, RunEnd]:
        first, other = tickets
        more: Sequence[TrialTicket] = [first]
        ends = {}
        while more:
            done = more[0]
            reached = {"config": done.config, "effective_edits": 3.0, "points": [], "cpu_seconds": 1.0, "draws": []}
            tell(done.name, {"event": "trial", "trial": reached})
            ends[done.name] = RunEnd("done", 0)
            more = follow(done.name)
        return ends | {other.name: RunEnd("given up", 1, "its process ended 3 times: killed by signal 9.")}

    monkeypatch.setattr(campaign, "dispatch", played)
    code, _, err = cli(*small, "--out", str(tmp_path / "out"), "--on", "local:2")
    assert code == 1
    assert "ft-l, trial {'norm_constraint': 0.001}: its process ended 3 times: killed by signal 9." in err
    assert sorted(path.parent.name for path in tmp_path.glob("out/*/*.toml")) == ["ft"]

    asked: list[TrialTicket] = []

    def interrupted(tickets: Sequence[TrialTicket], count: int, *, tell: Any, follow: Any) -> dict[str, RunEnd]:
        asked.extend(tickets)
        return {one.name: RunEnd("stopped", 130) for one in tickets}

    monkeypatch.setattr(campaign, "dispatch", interrupted)
    (tmp_path / "out" / "ft" / "pocket-gpt2.toml").unlink()
    code, _, err = cli(*small, "--out", str(tmp_path / "out"), "--on", "local:2")
    assert code == 130 and "All trials that ended are recorded" in err
    assert [one.editor for one in asked] == ["ft-l"], "what is recorded is not done again"
    assert (tmp_path / "out" / "ft" / "pocket-gpt2.toml").exists(), "a preset that a kill left out is written"


def test_one_editor_is_tuned_with_a_grid_of_its_own(small: list[str], tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("norm_constraint = [1e-3, 1e-2]\n")
    words = ["tune", "ft-l", "--model", "pocket-gpt2", "--grid", str(tmp_path / "own.toml"), "--out", str(tmp_path)]
    code, out, err = cli(*words, "--home", str(tmp_path / "home"), "--trials", "1", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert len(told["trials"]) == 1 and told["optimum"] == {"norm_constraint": "untried"}
    assert "--trials 1`" in (tmp_path / "pocket-gpt2.toml").read_text()
    code, out, err = cli(*words, "--home", str(tmp_path / "home"), "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["editor"] == "ft-l" and len(told["trials"]) == 2 and told["optimum"] == {"norm_constraint": "end"}
    assert told["best"]["config"] in [trial["config"] for trial in told["trials"]]
    assert (tmp_path / "pocket-gpt2.toml").exists() and (tmp_path / "pocket-gpt2.tuning.json").exists()


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model that is a folder, as it is typed from the folder above."""
    folder = resolve("pocket-gpt2").folder
    assert folder is not None
    shutil.copytree(folder, tmp_path / "models" / "mine")
    (tmp_path / "own.toml").write_text("learning_rate = [1e-3]\n")
    monkeypatch.chdir(tmp_path)
    return "./models/mine"


def test_presets_of_a_model_that_is_a_path_are_called_by_its_name_and_the_command_that_takes_them_is_said(
    small: list[str], mine: str, tmp_path: Path
) -> None:
    where = ["--home", str(tmp_path / "home")]
    words = ["--grid", "own.toml", "--out", "out", "--task", "pocket-counterfact-tuning", "--abilities", "pocket"]
    code, out, err = cli("tune", "ft", "--model", mine, *words, *where)
    assert code == 0, err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["mine.toml", "mine.tuning.json"]
    assert f"--model {mine}" in (tmp_path / "out" / "mine.toml").read_text() and "Preset: out/mine.toml" in out
    (told,) = [line for line in err.splitlines() if "A run takes it with: " in line]
    run = shlex.split(told.partition("palimpsest ")[2].removesuffix(" …"))
    assert run == ["run", "--model", mine, "--editor", "ft", "--preset", "ft=out/mine.toml"]
    schedule = ["--task", "pocket-counterfact", "--edits", "2", "--batch-size", "2", "--abilities", "none"]
    code, _, err = cli(*run, *schedule, *where)
    assert code == 0, err


def test_where_hosts_were_tuned_too_a_run_is_told_to_take_their_presets(small: list[str], tmp_path: Path) -> None:
    code, _, err = cli(*small, "--out", str(tmp_path / "out"), "--on", "local:1")
    assert code == 0, err
    presets = [f"'rect(ft-l)={tmp_path}/out/rect/pocket-gpt2.toml'", f"'rect(ft-l).host={tmp_path}/out/ft-l/"]
    assert f"--editor 'rect(ft-l)' --preset {presets[0]} --preset {presets[1]}" in err


@pytest.mark.parametrize(
    ("model", "words", "said"),
    [
        ("pocket-gpt2", [], "pocket-counterfact-tuning ('pocket',)"),
        ("./models/mine", [], "realworld-counterfact-tuning@known ('plain',)"),
        ("./models/mine", ["--task", "realworld-counterfact-tuning"], "realworld-counterfact-tuning ('plain',)"),
        ("./models/mine", ["--abilities", "pocket"], "realworld-counterfact-tuning@known ('pocket',)"),
    ],
)
def test_other_models_than_those_of_the_pocket_world_are_tuned_on_real_facts_that_they_know(
    mine: str, model: str, words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(ref: Any, split: EditTask, horizon: Any, kept: AbilityChoice, statistics: Any) -> dict[str, Any]:
        raise UsageError(f"{split.name} {kept.names}")

    def known_part(task: EditTask, *rest: Any) -> EditTask:
        return EditTask(f"{task.name}@known", task.form, task.cases[:3])

    monkeypatch.setattr(tune, "identity_of", told)
    monkeypatch.setattr(tune, "known_part", known_part)
    where = ["--grid", "own.toml", "--out", "out", "--home", str(tmp_path / "home")]
    code, _, err = cli("tune", "ft", "--model", model, *words, *where)
    assert code == 2 and said in err
