"""`palimpsest doctor` on the places that runs may go to: what is lacking is said before anybody waits for it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from palimpsest.cli.verbs import doctor
from tests.cli.helpers import cli
from tests.harness.depot.conftest import s3 as s3
from tests.harness.depot.conftest import server as server
from tests.harness.depot.conftest import url as url
from tests.labs.s3_server import S3

SBATCH = """
case "$1" in
--help) echo "  --test-only  validate" ;;
--test-only) if grep -q "partition=nowhere" "$2"; then echo "invalid partition specified: nowhere" >&2; exit 1; fi ;;
*) echo "slurm 24.05.1" ;;
esac
"""
COMMANDS = {"sbatch": SBATCH, "squeue": '[ "$1" != --version ] || echo slurm', "scontrol": "echo slurm",
            "scancel": "echo slurm"}  # fmt: skip


@pytest.fixture(autouse=True)
def only_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks of packages, models and editors are not these tests' business."""
    for name in ("_packages", "_models", "_editors", "_abilities"):
        monkeypatch.setattr(doctor, name, lambda: iter(()))


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands of Slurm's, first on the path."""
    here = tmp_path / "commands"
    here.mkdir()
    for name, body in COMMANDS.items():
        (here / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (here / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}{os.pathsep}{os.environ['PATH']}")
    return here


def states(*words: str, home: Path, code: int) -> dict[str, tuple[str, str]]:
    """Name of each check → its state, and what to do."""
    found, out, err = cli("doctor", *words, "--json", home=home)
    assert found == code, out + err
    return {line["name"]: (line["state"], line["advice"]) for line in json.loads(out)}


def test_without_a_place_none_is_looked_at(tmp_path: Path) -> None:
    found = states(home=tmp_path, code=0)
    assert not {"ray", "sbatch", "script", "at once", "locks", "depot"} & found.keys()


def test_slurm_is_asked_whether_it_would_take_a_run(commands: Path, tmp_path: Path) -> None:
    found = states("--on", "slurm", "--slurm", "--partition=gpu", home=tmp_path / "home", code=0)
    asked = ("sbatch", "squeue", "scontrol", "scancel", "queue", "script", "options", "locks")
    assert {name: found[name] for name in asked} == dict.fromkeys(asked, ("ok", ""))
    assert not (tmp_path / "home").exists(), "nothing is left behind"


def test_options_that_slurm_refuses_are_told_in_its_words(commands: Path, tmp_path: Path) -> None:
    code, out, _ = cli("doctor", "--on", "slurm", "--slurm", "--partition=nowhere", home=tmp_path)
    assert code == 4 and "✓ ok" in out and "✗ fail" in out
    assert "options: sbatch ended with exit code 1: invalid partition specified: nowhere" in out


def test_an_sbatch_that_cannot_try_is_no_failure(commands: Path, tmp_path: Path) -> None:
    (commands / "sbatch").write_text("#!/usr/bin/env bash\necho slurm\n")
    assert states("--on", "slurm", home=tmp_path, code=0)["options"][0] == "warn"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_of_slurms_that_is_not_there_is_named(commands: Path, tmp_path: Path, name: str) -> None:
    (commands / name).unlink()
    state, advice = states("--on", "slurm", home=tmp_path, code=4)[name]
    assert state == "fail" and f"There is no {name} here" in advice


def test_a_script_that_bash_cannot_read_is_found(
    commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palimpsest.cli.cluster_checks.script", lambda *words: "if true; then\n")
    state, advice = states("--on", "slurm", home=tmp_path, code=4)["script"]
    assert state == "fail" and "syntax error" in advice


def test_this_machine_says_how_many_go_on_at_once(tmp_path: Path) -> None:
    assert states("--on", "local", home=tmp_path, code=0)["at once"] == ("ok", "")
    state, advice = states("--on", "local:5000", home=tmp_path, code=0)["at once"]
    assert state == "warn" and "5000 runs share" in advice


@pytest.mark.parametrize("on", ["local", "slurm", "ray:127.0.0.1:1"])
def test_a_home_in_which_nothing_can_be_written_is_found_for_every_place(on: str, commands: Path) -> None:
    found = states("--on", on, home=Path("/proc/home"), code=4)
    assert found["home"][0] == "fail"
    assert all("bug" not in advice and "Error:" not in advice for _, advice in found.values()), found


def test_no_ray_cluster_is_said_in_one_sentence(tmp_path: Path) -> None:
    state, advice = states("--on", "ray:127.0.0.1:1", home=tmp_path, code=4)["ray"]
    assert state == "fail" and advice.startswith("No Ray cluster answers at 127.0.0.1:1. Start one")


def test_a_depot_is_tried(s3: S3, url: str, tmp_path: Path) -> None:
    assert states("--depot", url, home=tmp_path, code=0)["depot"] == ("ok", "")
    s3.down = True
    state, advice = states("--depot", url, home=tmp_path, code=4)["depot"]
    assert state == "fail" and url in advice


def test_a_depot_that_two_writers_would_spoil_is_refused(tmp_path: Path) -> None:
    (tmp_path / "depot").mkdir()
    state, advice = states("--depot", f"file://{tmp_path}/depot", home=tmp_path, code=4)["depot"]
    assert state == "fail" and "compare-and-swap" in advice


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--on", "rays"), "--on"),
        (("--on", "local:0"), "--on"),
        (("--depot", "s4://bucket/folder"), "--depot"),
        (("--slurm", "--mem=1G"), "--slurm"),
        (("--on", "slurm", "--slurm", "--mem=1G\n#SBATCH -N9"), "--slurm"),
        (("--on", "slurm", "--slurm", "--partition='"), "--slurm"),
    ],
)
def test_what_is_no_place_is_refused(tmp_path: Path, words: tuple[str, ...], named: str) -> None:
    code, _, err = cli("doctor", *words, home=tmp_path)
    assert code == 2 and named in err
