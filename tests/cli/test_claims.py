"""`palimpsest claims`: the runs of the suite, only what is missing, and verdicts that say no more than is known."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from palimpsest.cli import hand_over, means
from palimpsest.cli.flags import Flags, selected
from palimpsest.cli.verbs import claims as verb
from palimpsest.cli.wiring import installed_catalog
from palimpsest.harness.specs.planning import plan
from palimpsest.results.store.claim_record import read_records
from palimpsest.tasks.claim_files import load_claims
from tests.cli.helpers import cli

SUITE = """
model: pocket-gpt2
task: pocket-counterfact
editors: [memit]
schedule: {edits: 8, batch_size: 4, checkpoints: [0, 4, 8], order_seed: run}
scoring: {sample: 8}
abilities: {tasks: [pocket], limit: 10}
"""
CLAIMS = """
description = "Two of MEMIT"
suite = "SUITE"
seeds = [0, 1, 2]
level = 0.05

[[rows]]
name = "strong"
editor = "memit"

[[rows]]
name = "weak"
editor = "memit"
set = { second_moment_weight = 1e9 }
setting = "hardly any"

[[claims]]
id = "writes-less"
statement = "A large weight of the pretraining keys writes less"
source = "2210.07229"
pairs = [["weak", "strong"]]
metric = "total_update_norm"
edits = 8
direction = "lower"
test = "paired t, two-sided"

[[claims]]
id = "holds-more"
statement = "And holds more edits"
source = "2210.07229"
pairs = [["weak", "strong"]]
metric = "effective_edits"
edits = 8
direction = "higher"
test = "paired t, two-sided"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set of claims and a home in which one seed of three is done."""
    folder = tmp_path_factory.mktemp("claims")
    (folder / "tiny.yaml").write_text(SUITE)
    (folder / "mine.toml").write_text(CLAIMS.replace("SUITE", str(folder / "tiny.yaml")))
    words = ("--suite", str(folder / "tiny.yaml"), "--quiet", "--on", "local:1")
    assert cli("run", *words, home=folder / "home")[0] == 0
    return folder


def claims(place: Path, *more: str) -> tuple[int, str, str]:
    return cli("claims", str(place / "mine.toml"), *more, home=place / "home")


def run_ids(place: Path) -> set[str]:
    return {path.name for path in (place / "home" / "runs").iterdir() if re.fullmatch(r"[0-9a-f]{12}", path.name)}


def test_a_look_ahead_runs_nothing_and_finds_what_the_suite_has_done(place: Path) -> None:
    before = run_ids(place)
    code, out, _ = claims(place, "--dry-run", "--json")
    runs = json.loads(out)["runs"]
    assert code == 0 and run_ids(place) == before and len(before) == 1
    assert {(one["row"], one["seed"]) for one in runs} == {(r, s) for r in ("strong", "weak") for s in range(3)}
    assert [one["run"] for one in runs if one["state"].startswith("done")] == list(before)
    code, out, _ = claims(place, "--dry-run")
    assert code == 0 and "5 of 6 runs are left" in out


def test_nothing_is_said_on_a_part_of_the_seeds(place: Path) -> None:
    code, out, _ = claims(place, "--only-verdicts", "--json")
    told = json.loads(out)
    assert code == 0 and [one["verdict"] for one in told["claims"]] == [None, None]
    lacking = told["claims"][0]["lacking"]
    assert {(one["row"], one["seed"]) for one in lacking} == {
        ("strong", 1),
        ("strong", 2),
        *(("weak", s) for s in range(3)),
    }
    assert {one["why"] for one in lacking} == {"not run yet"}
    code, out, _ = claims(place, "--only-verdicts")
    assert out.count("not run yet") == 2 and "0 shown, 0 refuted, 0 open, 2 without a verdict" in out


@pytest.fixture(scope="module")
def done(place: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The set done, and what was printed."""
    code, out, err = claims(place, "--json", "--on", "local:1", "--quiet")
    assert code == 0, err
    yield place, json.loads(out)


def test_what_is_missing_is_run_and_every_claim_is_judged(done: tuple[Path, dict[str, Any]]) -> None:
    place, told = done
    less, more = told["claims"]
    assert len(run_ids(place)) == 6 and {one["status"] for one in told["runs"]} == {"complete"}
    assert less["verdict"] == "shown" and less["mean"] < less["high"] < 0 and less["lacking"] == []
    assert set(less["differences"]) == {"0", "1", "2"} and less["adjusted"] <= 0.05
    assert more["verdict"] in ("open", "refuted") and more["mean"] < 0


def test_again_there_is_nothing_left_to_run(done: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a run that is done was begun")

    monkeypatch.setattr(hand_over, "carry_out", refuse)
    code, out, err = claims(done[0])
    assert code == 0 and "0 of 6 runs are left" in err
    assert re.search(r"^shown +writes-less ", out, re.M)
    assert "memit (hardly any) against memit" in out


def test_published_runs_are_not_done_again_and_decide(done: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    place, told = done
    home = place / "home"
    strong = sorted({one["run"] for one in told["runs"] if one["row"] == "strong"})
    out = str(tmp_path / "submissions")
    code, _, err = cli("submit", *strong, "--out", out, "--home", str(home))
    assert code == 0, err
    words = ("--reason", "ours", "--ledger", str(tmp_path / "ledger.jsonl"))
    assert cli("ledger", "publish", *(str(tmp_path / "submissions" / run) for run in strong), *words)[0] == 0
    shutil.copy(place / "mine.toml", tmp_path)
    for run in run_ids(place) - set(strong):
        shutil.copytree(home / "runs" / run, tmp_path / "home" / "runs" / run)
    code, out, err = claims(tmp_path, "--json", "--submissions", str(tmp_path / "submissions"))
    assert code == 0 and "0 of 6 runs are left" in err
    assert json.loads(out)["claims"] == told["claims"]


def test_published_numbers_bring_the_page_its_verdicts_where_the_runs_are_not(
    done: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, told = done
    (tmp_path / "submissions").mkdir()
    monkeypatch.setenv("PALIMPSEST_SUBMISSIONS", str(tmp_path / "submissions"))
    code, _, err = claims(place, "--only-verdicts", "--publish", str(tmp_path / "claims"))
    assert code == 0, err
    (record,) = read_records(tmp_path / "claims")
    assert set(record.measured) == run_ids(place)
    strong = {one["run"] for one in told["runs"] if one["row"] == "strong"}
    for run in strong:
        shutil.copytree(place / "home" / "runs" / run, tmp_path / "home" / "runs" / run)
    assert cli("store", "ingest", home=tmp_path / "home")[0] == 0
    assert cli("site", "build", home=tmp_path / "home")[0] == 0
    html = (tmp_path / "home" / "site" / "claims.html").read_text(encoding="utf-8")
    (row,) = re.findall(r'<tr id="mine-writes-less">.*?</tr>', html, re.S)
    assert "✓" in row and "shown" in row and row.count("weak, not here") == 3
    assert "the numbers were published with the claims" in html
    shutil.copy(place / "mine.toml", tmp_path)
    code, out, _ = claims(tmp_path, "--only-verdicts", "--json")
    assert [one["verdict"] for one in json.loads(out)["claims"]] == [None, None], "the command judges by runs alone"


def test_a_part_of_the_verdicts_is_not_published(done: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    shutil.copy(done[0] / "mine.toml", tmp_path)
    code, _, err = claims(tmp_path, "--only-verdicts", "--publish", str(tmp_path / "claims"))
    assert code == 2 and "2 claims have no verdict yet" in err
    assert not (tmp_path / "claims").exists()


def test_on_slurm_the_runs_are_handed_over_and_the_same_command_has_the_verdicts(
    done: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sbatch").write_text("#!/usr/bin/env bash\necho 7\n")
    (tmp_path / "squeue").write_text("#!/usr/bin/env bash\n")
    for name in ("sbatch", "squeue"):
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    shutil.copy(done[0] / "mine.toml", tmp_path)
    code, out, err = claims(tmp_path, "--json", "--on", "slurm")
    assert code == 3 and [len(job["tickets"]) for job in json.loads(out)["jobs"]] == [1, 6]
    assert "The verdicts come with the same command, when the runs have ended" in err
    code, out, _ = claims(done[0], "--json", "--on", "slurm")
    assert code == 0 and json.loads(out)["claims"] == done[1]["claims"]


def test_the_markdown_has_the_claims_and_the_means_of_their_rows(done: tuple[Path, dict[str, Any]]) -> None:
    code, out, _ = claims(done[0], "--only-verdicts", "--markdown")
    assert code == 0 and "### In batches of 4" in out
    (claim,) = re.findall(r"^\| `writes-less` .*$", out, re.M)
    assert claim.endswith("| shown |") and "[2210.07229](https://arxiv.org/abs/2210.07229)" in claim
    assert len(re.findall(r"^\| memit(?: \(hardly any\))? \| .* ± .* \| .* ± .* \|$", out, re.M)) == 2


def test_the_record_leads_the_page_to_the_runs(done: tuple[Path, dict[str, Any]]) -> None:
    place, _ = done
    (record,) = read_records(place / "home" / "claims")
    assert set(record.run_ids) == run_ids(place)
    code, _, _ = cli("site", "build", home=place / "home")
    html = (place / "home" / "site" / "claims.html").read_text(encoding="utf-8")
    assert code == 0 and 'id="mine-writes-less"' in html and "Two of MEMIT" in html


def test_a_row_of_the_suite_editors_has_the_runs_that_the_suite_gives(tmp_path: Path) -> None:
    given = means.checked("cpu", None, offload=False)
    seeds = range(5)
    suite, where = selected(Flags(suite="editors", seed=list(seeds)))
    theirs = {run.spec.id: run.spec for run in plan(suite, installed_catalog(given.installed), place=where)}
    ours = verb._plan(load_claims("pocket-llama"), "pocket-llama", given, tmp_path, fetch=True)
    shared = {row for (row, _), run in ours.items() if run.spec.id in theirs}
    plain = {row.name for row in load_claims("pocket-llama").rows if not row.set}
    assert plain <= shared and {"memit", "deltaedit-one", "revive-memit-seq-tuned"} <= plain
    for (row, seed), run in ours.items():
        if row in plain:
            assert theirs[run.spec.id].seed == seed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--dry-run", "--only-verdicts"), "exclude each other"),
        (("--markdown", "--json"), "--markdown prints verdicts"),
        (("--dry-run", "--publish", "claims"), "has no numbers to --publish"),
        (("--publish", "/dev/null"), "--publish /dev/null: expected a folder"),
        (("--on", "remote"), "expected local or local:N"),
    ],
)
def test_flags_that_do_not_fit_together_are_refused(place: Path, words: tuple[str, ...], message: str) -> None:
    code, _, err = claims(place, *words)
    assert code == 2 and message in err


def test_a_wrong_value_is_told_with_the_row_that_has_it(place: Path, tmp_path: Path) -> None:
    text = (place / "mine.toml").read_text().replace("second_moment_weight = 1e9", "second_moment_wait = 1")
    (tmp_path / "wrong.toml").write_text(text)
    code, _, err = cli("claims", str(tmp_path / "wrong.toml"), "--dry-run", home=tmp_path / "home")
    assert code == 2 and "row weak" in err and "second_moment_wait" in err and "Traceback" not in err


def test_sets_are_listed() -> None:
    code, out, _ = cli("list", "claims")
    assert code == 0 and "pocket-llama" in out
