"""The workflows: each step that calls palimpsest names a command and options that exist, and none gives away rights."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from palimpsest.cli import app

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")
_WRITES = {"nightly": {"issues": "write", "pages": "write", "id-token": "write"}}
"""Rights to write that a workflow's single jobs may have; no submission's job has any."""


def load(path: Path) -> dict[str, Any]:
    value = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    return {str(key): part for key, part in value.items()}  # YAML reads the key "on" as true


def jobs(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from load(path)["jobs"].items()


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for _, job in jobs(path):
        yield from job["steps"]


def calls(script: str) -> Iterator[list[str]]:
    """The arguments of each palimpsest command in a step's script."""
    for line in script.replace("\\\n", " ").splitlines():
        words = shlex.split(line)
        for place, word in enumerate(words):
            if word.rpartition("/")[2] == "palimpsest":
                yield words[place + 1 :]


def parsed(arguments: list[str]) -> None:
    """Let the command line read the arguments without doing anything; raises what it would complain about."""
    group: Any = typer.main.get_command(app.app)
    name, *rest = arguments
    command = group.get_command(None, name)
    while getattr(command, "commands", None):
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context(name, rest)


def test_there_are_three() -> None:
    assert [path.stem for path in FILES] == ["ci", "nightly", "submission"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_palimpsest_command_exists_and_knows_its_options(path: Path) -> None:
    found = [call for step in steps(path) for call in calls(step.get("run", ""))]
    assert bool(found) == (path.stem != "ci")
    for call in found:
        parsed(call)


def test_the_check_itself_finds_what_does_not_exist() -> None:
    for wrong in (["nightly", "--keep-all"], ["verifies"], ["site", "built"], ["nightly", "--keep", "none"]):
        with pytest.raises(Exception, match=r".+"):
            parsed(wrong)
    assert list(calls("timeout 3m \\\n  .venv/bin/palimpsest nightly --keep 1")) == [["nightly", "--keep", "1"]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_make_targets_and_scripts_that_are_called_exist(path: Path) -> None:
    text = "\n".join(step.get("run", "") for step in steps(path))
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert all(target in targets for target in re.findall(r"\bmake (\w+)", text))
    assert all((ROOT / script).is_file() for script in re.findall(r"\bbash (\S+)", text))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_rights_are_to_read_unless_a_job_needs_more(path: Path) -> None:
    assert load(path)["permissions"] == {"contents": "read"}
    allowed = _WRITES.get(path.stem, {})
    for name, job in jobs(path):
        wrote = {key: right for key, right in job.get("permissions", {}).items() if right != "read"}
        assert wrote.items() <= allowed.items(), name
        assert job["timeout-minutes"] <= 360, name


def test_a_submission_has_nothing_to_take() -> None:
    path = next(path for path in FILES if path.stem == "submission")
    text = path.read_text(encoding="utf-8")
    assert "pull_request" in load(path)["True"] and "pull_request_target" not in text.replace("`pull_request`", "")
    assert "secrets." not in text and "GITHUB_TOKEN" not in text and "github.token" not in text
    assert "cache" not in text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_actions_are_pinned_to_a_commit_and_leave_no_token_behind(path: Path) -> None:
    for step in steps(path):
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w/-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_script_is_put_together_from_what_others_wrote(path: Path) -> None:
    """Expressions go into scripts through the environment alone: a branch may be named like a command."""
    for step in steps(path):
        assert not _EXPRESSION.findall(step.get("run", "")), step


def submission() -> dict[str, Any]:
    return load(next(path for path in FILES if path.stem == "submission"))


def test_the_label_re_run_is_worth_nothing_for_a_later_push() -> None:
    """The job starts from the event of labelling alone; that a request has the label says nothing about its commit."""
    condition = submission()["jobs"]["rerun"]["if"]
    assert "github.event.action == 'labeled'" in condition and "github.event.label.name == 're-run'" in condition
    assert "||" not in condition and "contains(" not in condition and "labels" not in condition


def test_a_submission_is_checked_by_the_code_of_the_base_branch_and_at_the_commit_of_the_event() -> None:
    for name, job in submission()["jobs"].items():
        checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        refs = {step["with"].get("path", "."): step["with"].get("ref") for step in checkouts}
        assert refs == {
            ".": "${{ github.event.pull_request.base.sha }}",
            "request": "${{ github.event.pull_request.head.sha }}",
        }, name


def test_nothing_in_the_request_is_imported_or_executed() -> None:
    flow = submission()
    assert flow["env"]["PYTHONSAFEPATH"] == "1"
    for job in flow["jobs"].values():
        for step in job["steps"]:
            script = step.get("run", "")
            if step.get("working-directory") == "request":
                assert all(line.startswith("../.venv/bin/palimpsest verify ") for line in script.strip().splitlines())
            else:
                assert "request" not in script


def test_only_a_branch_of_this_repository_may_bring_more_than_bundles() -> None:
    """Whoever sends a request from a fork cannot add lines to the ledger unseen, also without any bundle."""
    checks = {
        step["if"]: step["run"].strip()
        for step in submission()["jobs"]["verify"]["steps"]
        if "palimpsest verify" in step.get("run", "")
    }
    head, check = "github.event.pull_request.head.repo.full_name", '../.venv/bin/palimpsest verify --since "$BASE"'
    assert checks == {
        f"{head} != github.repository": check,
        f"{head} == github.repository": f"{check} --other-files",
    }
    assert set(submission()["True"]["pull_request"]["paths"]) == {"results/submissions/**", "results/ledger.jsonl"}
