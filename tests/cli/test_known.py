"""`--known` and `palimpsest tasks known`: only what the model knows before any edit is edited and asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from palimpsest.cli import known_facts
from palimpsest.cli.wiring import installed_catalog
from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.specs.cases import Case, EditTask
from palimpsest.tasks import known
from palimpsest.tasks.known import KnownFacts
from palimpsest.tasks.pocket import edits
from palimpsest.tasks.pocket.world import build_world
from palimpsest.tasks.registry import DataFiles
from tests.cli.helpers import cli

RECORDS = 12
FALSE = (2, 5)
"""Places of records whose true object is made a wrong one."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PALIMPSEST_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first records of the pocket world's rewrites, two of them about what is not so."""
    records = []
    for place, record in enumerate(edits.counterfact_records(build_world(), "benchmark")):
        if place == RECORDS:
            break
        one = json.loads(json.dumps(record))
        rewrite = one["requested_rewrite"]
        if place in FALSE:
            rewrite["target_true"], rewrite["target_new"] = rewrite["target_new"], rewrite["target_true"]
        records.append(one)
    path = tmp_path_factory.mktemp("data") / "few.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


@pytest.fixture
def task(file: Path) -> EditTask:
    return DataFiles(other=file).load("counterfact")


@cache
def pocket() -> tuple[Any, Any]:
    """The pocket model and its tokenizer as transformers loads them."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = resolve("pocket-llama").folder
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)


def gives(prompt: str, target: str) -> bool:
    """Tell if the pocket model says the target by itself, one token after another; asked without our scoring."""
    import torch

    model, tokenizer = pocket()
    wanted = tokenizer(" " + target, add_special_tokens=False)["input_ids"]
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        said = model.generate(ids, max_new_tokens=len(wanted), do_sample=False, pad_token_id=0)
    return said[0, ids.shape[1] :].tolist() == wanted


def test_what_stays_is_what_the_model_says_by_itself(file: Path, task: EditTask, tmp_path: Path) -> None:
    words = ("tasks", "known", "counterfact", "--model", "pocket-llama", "--data", str(file), "--json")
    code, out, err = cli(*words, "--home", str(tmp_path))
    assert code == 0, err
    told = json.loads(out)
    facts = known.find_list(task.name, told["task"].rpartition("-")[2])
    assert facts is not None and told["known"] == len(facts.cases) and told["of"] == RECORDS
    stays = {case_id: {"paraphrase": p, "neighborhood": n} for case_id, p, n in facts.cases}
    for case in task.cases[:6]:
        request = case.request
        prompt = request.prompt.format(request.subject)
        assert (request.case_id in stays) == gives(prompt, request.target_true), prompt
        for probe in case.probes if request.case_id in stays else ():
            if probe.kind in known.SIFTED and probe.index < 2:
                found = probe.index in stays[request.case_id][probe.kind]
                assert found == gives(probe.prompt, probe.target_true), probe.prompt
    spoilt = {task.cases[place].request.case_id for place in FALSE}
    assert len(facts.cases) > RECORDS / 2 and not spoilt & stays.keys()


def test_a_list_that_was_interrupted_goes_on_where_it_was(
    file: Path, task: EditTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    ask = known_facts.known_cases

    def counting(model: EditableModel, cases: Sequence[Case]) -> Any:
        if len(asked) == 2:
            asked.append(0)
            raise KeyboardInterrupt
        asked.append(len(cases))
        return ask(model, cases)

    monkeypatch.setattr(known_facts, "_CHUNK", 4)
    monkeypatch.setattr(known_facts, "known_cases", counting)
    words = ("tasks", "known", "counterfact", "--model", "pocket-llama", "--data", str(file), "--json", "--home")
    code, _, _ = cli(*words, str(tmp_path))
    assert code == 130 and asked == [4, 4, 0]
    (left,) = (tmp_path / "cache" / "known").glob("*.unfinished")
    left.write_text(left.read_text(encoding="utf-8") + "[[7, [0, 1", encoding="utf-8")  # as a kill leaves it
    code, out, err = cli(*words, str(tmp_path))
    assert code == 0 and asked == [4, 4, 0, 4], err
    assert not left.exists()
    monkeypatch.setenv("PALIMPSEST_CACHE", str(tmp_path / "other"))
    monkeypatch.setattr(known_facts, "known_cases", ask)
    code, again, _ = cli(*words, str(tmp_path))
    assert code == 0
    first, second = (Path(json.loads(text)["file"]).read_bytes() for text in (out, again))
    assert first == second, "in pieces or in one go, the same list"


def test_a_run_of_known_facts_lists_them_edits_them_and_its_unedited_neighbors_are_all_there(
    file: Path, tmp_path: Path
) -> None:
    words = ("run", "--model", "pocket-llama", "--editor", "ft-l", "--task", "counterfact", "--data", str(file),
             "--known", "--edits", "4", "--batch-size", "4", "--checkpoints", "0,4", "--abilities", "none")  # fmt: skip
    code, out, err = cli(*words, "--json", home=tmp_path)
    assert code == 0, err
    assert "pocket-llama knows" in err
    (row,) = json.loads(out)
    code, out, _ = cli("show", row["run"], "--json", home=tmp_path)
    spec = json.loads(out)["run"]["spec"]
    assert spec["task"]["name"].startswith("counterfact:few.json@known-")
    assert cli("store", "ingest", "--quiet", home=tmp_path)[0] == 0
    before = {metric["metric"]: metric["value"] for metric in _metrics(tmp_path, row["run"], edits=0)}
    assert before["neighborhood_argmax"] == 100.0
    code, out, err = cli(*words, "--json", home=tmp_path)
    assert code == 0 and "requests asked" not in err and json.loads(out)[0]["run"] == row["run"]


def test_a_run_of_known_facts_that_leave_gaps_among_the_probes_ends_in_the_store(
    file: Path, task: EditTask, tmp_path: Path
) -> None:
    """First and middle probes of a case are unknown, or all of them, as most lists of real models have it."""
    ref, _ = installed_catalog().model("pocket-llama")
    probes = [((1,), (1, 3)), ((), (0, 2)), ((0,), ()), ((), (4,)), ((0, 1), (0, 1))]
    known.keep_list(
        KnownFacts(
            task=task.name, content_hash=task.content_hash, model=ref.name, fingerprint=ref.fingerprint, version="0",
            cases=tuple((case.request.case_id, *some) for case, some in zip(task.cases, probes, strict=False)),
        )
    )  # fmt: skip
    words = ("run", "--model", "pocket-llama", "--editor", "ft-l", "--task", "counterfact", "--data", str(file),
             "--known", "--edits", "4", "--batch-size", "2", "--checkpoints", "0,4", "--abilities", "none")  # fmt: skip
    code, out, err = cli(*words, "--json", home=tmp_path)
    assert code == 0, err
    (row,) = json.loads(out)
    code, out, err = cli("store", "ingest", home=tmp_path)
    assert code == 0 and "without gaps" not in out + err
    after = {metric["metric"]: metric["value"] for metric in _metrics(tmp_path, row["run"], edits=4)}
    assert after["efficacy_argmax"] is not None and after["neighborhood_argmax"] is not None


def _metrics(home: Path, run: str, *, edits: int) -> Iterator[dict[str, Any]]:
    import palimpsest

    frame = palimpsest.frame("metrics", home=home, run=run)
    yield from frame[frame["edits"] == edits].to_dict("records")


def test_facts_in_questions_and_answers_are_known_too(tmp_path: Path) -> None:
    records = [
        record for _, record in zip(range(RECORDS), edits.zsre_records(build_world(), "benchmark"), strict=False)
    ]
    (tmp_path / "few.json").write_text(json.dumps(records), encoding="utf-8")
    words = ("tasks", "known", "zsre", "--model", "pocket-llama", "--data", str(tmp_path / "few.json"), "--json")
    code, out, err = cli(*words, home=tmp_path)
    assert code == 0, err
    whole = DataFiles(other=tmp_path / "few.json").load("zsre")
    facts = known.find_list(whole.name, json.loads(out)["task"].rpartition("-")[2])
    assert facts is not None
    stays = {case_id for case_id, _, _ in facts.cases}
    asked = whole.cases[:4]
    said = {
        c.request.case_id for c in asked if gives(c.request.prompt.format(c.request.subject), c.request.target_true)
    }
    assert said and said == stays & {case.request.case_id for case in asked}


def test_plan_makes_no_list_and_says_how_it_is_made(tmp_path: Path) -> None:
    smoke = files("palimpsest.tasks") / "suites" / "smoke.yaml"
    suite = smoke.read_text(encoding="utf-8").replace("pocket-counterfact", "realworld-zsre")  # its list does not ship
    (tmp_path / "own.yaml").write_text(suite, encoding="utf-8")
    code, _, err = cli("plan", str(tmp_path / "own.yaml"), "--known", "--no-calibration", home=tmp_path)
    assert code == 4 and "palimpsest tasks known realworld-zsre --model" in " ".join(err.split())


def test_a_tuning_of_known_facts_edits_only_those_for_as_long_as_was_said(file: Path, tmp_path: Path) -> None:
    only = "values = [1e-3], published = 1e-3, least = 1e-3, most = 1e-3"
    (tmp_path / "grid.toml").write_text(f"norm_constraint = {{ {only} }}\n")
    words = ("tune", "ft-l", "--task", "counterfact", "--data", str(file), "--known", "--grid",
             str(tmp_path / "grid.toml"), "--out", str(tmp_path / "out"), "--json")  # fmt: skip
    code, out, err = cli(*words, "--edits", "4", home=tmp_path)
    assert code == 0, err
    assert "pocket-llama knows" in err and len(json.loads(out)["trials"]) == 1
    record = json.loads((tmp_path / "out" / "pocket-llama.tuning.json").read_text())
    assert record["task"].startswith("counterfact:few.json@known-") and record["edits"] == 4
    assert record["trials"][0]["points"][-1]["edits"] == 4
    preset = (tmp_path / "out" / "pocket-llama.toml").read_text()
    assert "--edits 4 --known" in preset and f"4 edits of {record['task']}" in preset
    code, _, err = cli(*words, home=tmp_path)
    record = json.loads((tmp_path / "out" / "pocket-llama.tuning.json").read_text())
    assert code == 0 and "requests asked" not in err and RECORDS / 2 < record["edits"] <= RECORDS - len(FALSE)
    code, _, err = cli(*words, "--edits", "0", home=tmp_path)
    assert code == 2 and "--edits: expected a whole number of at least 1, got 0." in err
