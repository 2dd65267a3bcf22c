"""A run on files of one's own is planned, run, continued, exported, done again and tuned for with the same files."""

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from palimpsest.cli.tuning import protocol
from palimpsest.harness.model.catalogue import registered_models
from palimpsest.site.pages.run import command
from palimpsest.tasks.statistics_texts import statistics_text
from tests.cli.helpers import cli
from tests.fuzz.test_damaged_data import counterfact, zsre


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Edit data with one bad record, a statistics text, and the items of two ability tasks."""
    folder = tmp_path_factory.mktemp("files")
    rows = [*map(counterfact, range(3)), {"case_id": 99}, *map(counterfact, range(3, 6))]
    (folder / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (folder / "questions.jsonl").write_text("\n".join(json.dumps(zsre(n)) for n in range(5)), encoding="utf-8")
    (folder / "text.txt").write_text("\n\n".join(list(statistics_text("pocket"))[:400]), encoding="utf-8")
    (folder / "other.txt").write_text("Another text.\n\nIt is short.")
    items = [{"sentence": f"It is film {n}.", "label": 0} for n in range(14)]
    (folder / "sst2.jsonl").write_text("\n".join(map(json.dumps, items)))
    return folder


def given(files: Path, *more: str) -> list[str]:
    """The options that say where everything is."""
    return ["--data", str(files / "mine.jsonl"), "--stats-text", str(files / "text.txt"), *more]


def run_words(files: Path) -> list[str]:
    return [
        *("run", "--model", "pocket-gpt2", "--editor", "memit", "--task", "counterfact", "--edits", "4"),
        *("--batch-size", "2", "--checkpoints", "0,2,4", "--abilities", "papers_sst2", "--set", "target_steps=2"),
        *given(files, "--ability-data", str(files), "--skip-bad-records"),
    ]


def as_json(*words: str, home: Path) -> Any:
    code, out, err = cli(*words, "--json", home=home)
    assert code == 0, err
    return json.loads(out)


@pytest.fixture(scope="module")
def home(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the finished run, stopped once on its way."""
    home = tmp_path_factory.mktemp("home")
    code, _, err = cli(*run_words(files), "--limit", "2", home=home)
    assert code == 3, err
    assert "counterfact:mine.jsonl: 1 bad record of 7 left out" in err and "line 4: requested_rewrite.prompt" in err
    assert cli(*run_words(files), "--quiet", home=home)[0] == 0
    return home


def the_run(home: Path) -> Path:
    (run,) = (home / "runs").iterdir()
    return run


def test_the_spec_holds_hashes_and_the_journal_says_where_data_came_from(home: Path) -> None:
    spec = json.loads((the_run(home) / "spec.json").read_text())
    events = [json.loads(line) for line in (the_run(home) / "events.jsonl").read_text().splitlines()]
    data = next(event for event in events if event["event"] == "prepared")["data"]
    assert spec["task"]["name"] == "counterfact:mine.jsonl" and spec["task"]["skipped"] == 1
    assert (data["source"], data["records"], data["skipped"]) == ("mine.jsonl", 7, 1)
    for name in ("content_hash", "order_hash"):
        assert spec["task"][name] == data[name] and len(data[name]) == 64
    assert len(spec["statistics"]) == 64


def test_the_printed_command_names_every_file(home: Path) -> None:
    printed = command(json.loads((the_run(home) / "spec.json").read_text())).replace(" \\\n ", "")
    for words in ("--task counterfact --data mine.jsonl", "--skip-bad-records", "--stats-text", "--ability-data"):
        assert words in printed


def test_bad_records_stop_a_run_and_other_data_are_another_run(files: Path, home: Path) -> None:
    strict = [word for word in run_words(files) if word != "--skip-bad-records"]
    code, _, err = cli(*strict, home=home)
    assert code == 2 and "mine.jsonl, line 4: requested_rewrite.prompt: " in err and "--skip-bad-records" in err
    assert len(list((home / "runs").iterdir())) == 1


def test_plan_knows_the_run_by_its_files(files: Path, home: Path, tmp_path: Path) -> None:
    suite = tmp_path / "mine.yaml"
    suite.write_text(
        "model: pocket-gpt2\ntask: counterfact\neditors: [{name: memit, set: {target_steps: 2}}]\n"
        "schedule: {edits: 4, batch_size: 2, checkpoints: [0, 2, 4]}\nabilities: {tasks: [papers_sst2]}\n"
    )
    options = given(files, "--ability-data", str(files), "--skip-bad-records", "--no-calibration")
    (row,) = as_json("plan", str(suite), *options, home=home)["runs"]
    assert (row["run"], row["state"]) == (the_run(home).name, "done")


def test_export_does_edits_again_with_the_same_files_only(files: Path, home: Path, tmp_path: Path) -> None:
    lossy = Path(shutil.copytree(home, tmp_path / "home"))
    run, words = the_run(lossy), ("--edits", "2")
    assert as_json("export", run.name, str(tmp_path / "kept"), *words, home=lossy)["changed"]
    shutil.rmtree(run / "checkpoints" / "000002")
    for options, said in (
        (given(files)[:2], "took key statistics from a text of its own"),
        (given(files)[2:], "mine.jsonl: no such data file"),
        ([*given(files)[:2], "--stats-text", str(files / "other.txt")], "--stats-text: has SHA-256"),
        (["--data", str(files / "questions.jsonl"), *given(files)[2:]], "questions.jsonl"),
    ):
        code, _, err = cli("export", run.name, str(tmp_path / "no"), *words, *options, home=lossy)
        assert code in (2, 4) and said in err, err
    as_json("export", run.name, str(tmp_path / "again"), *words, *given(files), home=lossy)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("kept", "again")]
    assert weights[0] == weights[1]


def test_a_submission_is_done_again_with_the_same_files(files: Path, home: Path, tmp_path: Path) -> None:
    code, out, err = cli("submit", the_run(home).name, "--out", str(tmp_path), "--home", str(home))
    assert code == 0, err
    again = ["verify", out.strip(), "--rerun", "--home", str(tmp_path / "fresh")]
    code, _, err = cli(*again)
    assert code == 4 and "--stats-text" in err
    (result,) = as_json(*again, *given(files, "--ability-data", str(files)), home=tmp_path)
    assert result["rerun"]["verdict"] == "bits"


def test_presets_are_tuned_on_data_of_ones_own(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("EDITS", 2), ("BATCH_SIZE", 2), ("ABILITY_LIMIT", 2)):
        monkeypatch.setattr(protocol, name, value)
    (tmp_path / "grid.toml").write_text("target_steps = [1, 2]\n")
    words = ["tune", "memit", "--model", "pocket-gpt2", "--task", "zsre", "--grid", str(tmp_path / "grid.toml")]
    words += ["--data", str(files / "questions.jsonl"), "--stats-text", str(files / "text.txt")]
    words += ["--abilities", "papers_sst2", "--ability-data", str(files), "--out", str(tmp_path)]
    code, _, err = cli(*words, "--home", str(tmp_path / "home"))
    assert code == 0, err
    record = json.loads((tmp_path / "pocket-gpt2.tuning.json").read_text())
    assert record["task"] == "zsre:questions.jsonl" and len(record["trials"]) == 2
    assert record["abilities"][0]["name"] == "papers_sst2" and len(record["statistics"]) == 64
    preset = (tmp_path / "pocket-gpt2.toml").read_text()
    assert f"--task zsre --abilities papers_sst2 --data {files / 'questions.jsonl'}" in preset.replace("\n# ", " ")
    assert tomllib.loads(preset)["target_steps"] in (1, 2)


@pytest.mark.parametrize(
    "words",
    [
        ["score", str(registered_models()["pocket-gpt2"].folder), "--base", "pocket-gpt2", "--task", "counterfact"],
        ["tasks", "known", "counterfact", "--model", "pocket-gpt2"],
        ["locate", "pocket-gpt2", "--task", "counterfact", "--facts", "1", "--targets", "1"],
    ],
    ids=lambda words: words[0],
)
def test_records_that_are_left_out_are_told_by_every_command_that_reads_a_file(
    words: list[str], files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PALIMPSEST_CACHE", str(tmp_path / "cache"))
    data = ["--data", str(files / "mine.jsonl"), "--skip-bad-records"]
    _, _, err = cli(*words, *data, home=tmp_path / "home")
    assert "1 bad record of 7 left out" in err
