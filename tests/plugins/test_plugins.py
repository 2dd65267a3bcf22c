"""Editors of a third-party package beside built-in ones: in a suite, on the page, under `check`; and broken ones."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.plugins.conftest import SOURCE, Shell

Results = dict[str, dict[str, object]]
SUITE = """
name: mixed
description: Editors of several origins
model: pocket-gpt2
task: pocket-counterfact
editors: [not-importable, small-ridge, fails-to-prepare, key-value, leaves-at-import, fails-midway, memit]
schedule: {edits: 12, batch_size: 4, checkpoints: [0, 4, 12]}
scoring: {sample: null, seed: 0}
abilities: {tasks: [], limit: null}
seeds: [0]
"""


@pytest.fixture(scope="session")
def ran(shell: Shell) -> Results:
    """The suite, run in one process: editor → its result as the command line reports it."""
    (shell.home / "mixed.yaml").write_text(SUITE, encoding="utf-8")
    out = shell("run", "--suite", "mixed.yaml", "--on", "local:1", "--json", "--quiet", code=1)
    return {result["editor"]: result for result in json.loads(out[out.index("[") :])}


def test_the_weight_editor_has_fewer_than_forty_lines() -> None:
    assert len((SOURCE / "third_party_editors" / "small_ridge.py").read_text(encoding="utf-8").splitlines()) < 40


def test_both_kinds_of_editors_finish_and_teach_beside_a_built_in_one(shell: Shell, ran: Results) -> None:
    for editor in ("small-ridge", "key-value", "memit"):
        assert (ran[editor]["status"], ran[editor]["edits"], ran[editor]["exit_code"]) == ("complete", 12, 0)
    for editor in ("small-ridge", "key-value"):
        shown = shell("show", str(ran[editor]["run"]), "--json")
        metrics = json.loads(shown[shown.index("{") :])["scores"]["metrics"]["all"]
        assert metrics["efficacy_preference"] >= 75, metrics


@pytest.mark.parametrize(
    ("editor", "edits", "said"),
    [
        ("not-importable", 0, "a_package_that_nobody_has"),
        ("leaves-at-import", 0, "this editor needs a licence key"),
        ("fails-to-prepare", 0, "no such GPU"),
        ("fails-midway", 4, "layer norm"),
    ],
)
def test_a_broken_plugin_costs_only_its_own_run_and_is_named_with_version_and_error(
    editor: str, edits: int, said: str, ran: Results
) -> None:
    result, reason = ran[editor], str(ran[editor]["reason"])
    assert (result["status"], result["exit_code"]) == ("failed", 1)
    assert said in reason and "third-party-editors" in reason and "0.3.1" in reason
    assert int(str(result["edits"])) <= edits


def test_a_suite_of_broken_plugins_alone_fails_with_words(shell: Shell) -> None:
    course = ("--model", "pocket-gpt2", "--task", "pocket-counterfact", "--edits", "4", "--batch-size", "4")
    out = shell("run", "--editor", "not-importable", *course, "--checkpoints", "0,4", code=1)
    assert "not-importable, not run: Editor 'not-importable' of third-party-editors 0.3.1 cannot be imported" in out


def test_listing_shows_all_of_them_with_their_origin(shell: Shell) -> None:
    out = shell("list", "editors")
    assert re.search(r"^small-ridge +third-party-editors +0\.3\.1", out, re.M)
    assert re.search(r"^not-importable +third-party-editors", out, re.M) and re.search(r"^memit ", out, re.M)


def test_results_are_stored_and_shown_as_third_party(shell: Shell, ran: Results) -> None:
    shell("store", "ingest")
    shell("site", "build", "--out", "site")
    pages = {path.name: path.read_text(encoding="utf-8") for path in (shell.home / "site").rglob("*.html")}
    for editor in ("small-ridge", "key-value"):
        run = str(ran[editor]["run"])
        page = next(text for name, text in pages.items() if run in name)
        assert editor in page and "third-party-editors" in page and "0.3.1" in page
    front = pages["index.html"]
    assert "small-ridge" in front and "key-value" in front
    heads = {
        "small-ridge": "A weight editor in a few lines",
        "key-value": "A memory-based editor in the manner of GRACE",
    }
    for editor, words in heads.items():
        (page,) = (shell.home / "site" / "editor").glob(f"{editor}*.html")
        text = page.read_text(encoding="utf-8")
        assert words in text and "is not installed where this page was built" not in text


def test_a_killed_run_of_a_codebook_goes_on_to_the_same_answers(shell: Shell, ran: Results) -> None:
    run = str(ran["key-value"]["run"])
    folder = shell.home / "runs" / run
    aside = folder.rename(shell.home / "whole")
    arguments = ("run", "--suite", "mixed.yaml", "--editor", "key-value", "--quiet")

    def saved() -> bool:
        journal = folder / "events.jsonl"
        return journal.exists() and '"save"' in journal.read_text(encoding="utf-8")

    shell(*arguments, kill_when=saved)
    shell(*arguments)
    for place in ("checkpoints/000012", "scores/000012"):
        whole, killed = ((part / place / "manifest.json").read_text() for part in (aside, folder))
        assert json.loads(whole)["files"] == json.loads(killed)["files"]


@pytest.mark.parametrize("editor", ["small-ridge", "key-value"])
def test_both_pass_the_conformance_suite(editor: str, shell: Shell) -> None:
    printed = shell("check", editor, "--json")
    report = json.loads(printed[printed.index("{") :])
    assert report["passed"] and report["version"] == "0.3.1"
    assert not [c for c in report["checks"] if c["status"] == "fail"]


def test_a_filter_around_an_editor_that_writes_nothing_is_refused(shell: Shell) -> None:
    course = ("--model", "pocket-gpt2", "--task", "pocket-counterfact", "--edits", "4", "--batch-size", "4")
    out = shell("run", "--editor", "rect(key-value)", *course, "--checkpoints", "0,4", code=2)
    assert "key-value" in out and "weights" in out


def test_a_model_with_a_codebook_beside_it_cannot_be_exported(shell: Shell, ran: Results) -> None:
    out = shell("export", str(ran["key-value"]["run"]), "--edits", "12", "exported", code=2)
    assert "writes no weights" in out and not Path(shell.home / "exported").exists()
