"""`palimpsest score`: an external row, what is refused, and the page that shows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import palimpsest
from palimpsest.harness.errors import StoreError
from palimpsest.harness.model.catalogue import registered_models
from palimpsest.results import external
from palimpsest.results.external import read_externals
from palimpsest.tasks.registry import load_task
from tests.cli.helpers import cli
from tests.labs.tiny_models import tiny_model

BASE = ("--base", "pocket-gpt2", "--task", "pocket-counterfact", "--edits", "3")


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pocket-gpt2 with three facts written into it by FT, as another tool would leave it."""
    folder = tmp_path_factory.mktemp("models") / "mine <b>"
    source = registered_models()["pocket-gpt2"].folder
    model, tokenizer = AutoModelForCausalLM.from_pretrained(source), AutoTokenizer.from_pretrained(source)
    requests = [case.request for case in load_task("pocket-counterfact").cases[:3]]
    changed = palimpsest.edit(model, tokenizer, requests, "ft", preset="pocket-gpt2")
    changed.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def home(edited: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("home")
    code, out, err = cli("score", str(edited), *BASE, home=place)
    assert code == 0, err
    assert "Efficacy (argmax)" in out and "ranked with no run" in err
    return place


def test_the_row_tells_both_models_and_that_the_edits_took(home: Path) -> None:
    (row,) = read_externals(home / "external")
    found = {score.metric: score for score in row.scores}
    assert (row.kind, row.base, row.edits, row.name) == ("external", "pocket-gpt2", 3, "mine <b>")
    assert row.changed == 1 < row.parameters and row.fingerprint != row.base_fingerprint
    before, after = found["efficacy_argmax"].before, found["efficacy_argmax"].value
    assert before is not None and after is not None and after > before


def test_the_numbers_are_those_of_the_python_api(home: Path, edited: Path) -> None:
    (row,) = read_externals(home / "external")
    model = AutoModelForCausalLM.from_pretrained(edited, dtype=torch.float32)
    scores = palimpsest.score(model, AutoTokenizer.from_pretrained(edited), "pocket-counterfact", cases=3)
    for score in row.scores:
        if score.value is not None and score.metric in scores.metrics:
            assert score.value == pytest.approx(scores.metrics[score.metric], rel=1e-4)


def test_it_is_no_run_and_stands_on_a_page_of_its_own_that_says_so(home: Path) -> None:
    assert cli("store", "ingest", home=home)[1].startswith("0 added")
    assert cli("site", "build", home=home)[0] == 0
    page = (home / "site" / "external.html").read_text(encoding="utf-8")
    assert "mine &lt;b&gt;" in page and "<b>" not in page
    assert "not ranked" in page and "external ·" in page and "base " in page
    assert "external.html" in (home / "site" / "downloads.html").read_text(encoding="utf-8")
    assert "mine" not in (home / "site" / "index.html").read_text(encoding="utf-8")
    rows = json.loads((home / "site" / "data" / "external.json").read_text(encoding="utf-8"))
    assert {row["kind"] for row in rows} == {"external"} and len({row["metric"] for row in rows}) == len(rows)


def test_without_external_rows_there_is_neither_page_nor_link(tmp_path: Path) -> None:
    assert cli("store", "ingest", home=tmp_path)[0] == 0
    assert cli("site", "build", home=tmp_path)[0] == 0
    assert not (tmp_path / "site" / "external.html").exists()
    assert "external.html" not in (tmp_path / "site" / "downloads.html").read_text(encoding="utf-8")


def test_the_base_itself_is_said_to_be_unedited(tmp_path: Path) -> None:
    source = registered_models()["pocket-gpt2"].folder
    code, out, err = cli("score", str(source), *BASE, "--name", "same", "--json", home=tmp_path)
    row = json.loads(out)
    assert code == 0 and row["changed"] == 0 and "nothing in it was edited" in err
    assert all(score["before"] == score["value"] for score in row["scores"])


def test_a_damaged_row_is_told_and_no_page_is_built(home: Path, tmp_path: Path) -> None:
    (tmp_path / "external").mkdir()
    (row,) = (home / "external").glob("*.json")
    text = row.read_text(encoding="utf-8")
    for name, damaged in (("a", text[:-20]), ("b", text.replace('"external"', '"run"')), ("c", text + " " * 200_000)):
        (tmp_path / "external" / f"{name}.json").write_text(damaged, encoding="utf-8")
    assert cli("store", "ingest", home=tmp_path)[0] == 0
    code, _, err = cli("site", "build", home=tmp_path)
    assert code != 0 and all(f"{name}.json" in err for name in "abc") and "Traceback" not in err


def test_more_rows_than_a_page_shows_are_told_and_none_is_left_out_without_a_word(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home / "external"
    assert len(external.read_externals(folder)) == 1
    monkeypatch.setattr(external, "MOST", 0)
    with pytest.raises(StoreError, match="Move some"):
        external.read_externals(folder)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--edits", "0"], 2, "2662"),
        (["--edits", "9999"], 2, "2662"),
        (["--base", "pocket-llama"], 2, "--base"),
        (["--base", "pocket-gpt3"], 2, "pocket-gpt2"),
        (["--task", "pocket"], 2, "pocket-counterfact"),
        (["--device", "tpu"], 2, "--device"),
        (["--name", "  "], 2, "--name"),
    ],
)
def test_what_makes_no_sense_is_told(edited: Path, tmp_path: Path, words: list[str], code: int, told: str) -> None:
    ended, _, err = cli("score", str(edited), *BASE, *words, home=tmp_path)
    assert ended == code and told in err, err
    assert not (tmp_path / "external").exists()


def test_a_folder_that_is_no_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, told in (("nowhere", "no folder"), ("empty", "config.json")):
        code, _, err = cli("score", str(tmp_path / name), *BASE, home=tmp_path)
        assert code == 4 and told in err


def test_another_tokenizer_is_refused(edited: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    AutoModelForCausalLM.from_pretrained(edited).save_pretrained(other)
    tiny_model("gpt2").tokenizer.save_pretrained(other)
    code, _, err = cli("score", str(other), *BASE, home=tmp_path)
    assert code == 2 and "tokens" in err
