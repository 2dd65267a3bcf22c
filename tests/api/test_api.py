"""The Python API: data frames with the documented types, edited models in memory, and a cheap import."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import palimpsest
from palimpsest.api.frames import RUN_COLUMNS
from palimpsest.harness.errors import StoreError, UsageError
from palimpsest.harness.model.catalogue import registered_models
from palimpsest.tasks.registry import load_task
from tests.cli.helpers import cli
from tests.labs.synthetic import SyntheticRun, write_run

ONE = SyntheticRun(checkpoints=(0, 10, 40), batch_size=10, neighborhood=2, half=60)
DEAD = replace(ONE, editor="ft-l", status="collapsed", stops_at=10)
REAL = ("run", "--editor", "ft-l", "--model", "pocket-gpt2", "--task", "pocket-counterfact", "--edits", "6",
        "--batch-size", "2", "--checkpoints", "0,6", "--sample", "2", "--quiet")  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("home")
    for run in (ONE, DEAD):
        write_run(place / "runs", run)
    assert cli("store", "ingest", home=place)[0] == 0
    return place


@pytest.fixture(scope="module")
def pocket() -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = str(registered_models()["pocket-gpt2"].folder)
    return AutoModelForCausalLM.from_pretrained(folder, dtype="float32"), AutoTokenizer.from_pretrained(folder)


def test_importing_palimpsest_and_naming_its_functions_loads_neither_torch_nor_pandas() -> None:
    code = (
        "import sys, json, palimpsest\n"
        "early = [name for name in sys.modules if name.startswith('palimpsest.')]\n"
        "palimpsest.edit, palimpsest.score, palimpsest.frame, palimpsest.runs('nowhere')\n"
        "heavy = [name for name in ('torch', 'pandas', 'transformers') if name in sys.modules]\n"
        "print(json.dumps([early, heavy]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[], []]


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(getattr(palimpsest, name) is not None for name in palimpsest.__all__)
    assert set(palimpsest.__all__) <= set(dir(palimpsest))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = palimpsest.nonsense


@pytest.mark.parametrize("kind", palimpsest.FRAMES)
def test_a_frame_has_the_documented_columns_and_types_and_is_not_empty(kind: str, home: Path) -> None:
    found = palimpsest.frame(kind, home)
    columns = RUN_COLUMNS | dict(palimpsest.FRAMES[kind].columns)
    assert list(found.columns) == list(columns) and len(found)
    assert {name: str(found[name].dtype) for name in columns} == {name: dtype for name, (dtype, _) in columns.items()}
    assert all(meaning for _, meaning in columns.values())
    one = palimpsest.frame(kind, home, run=ONE.spec().id[:8])
    assert set(one["run_id"]) == {ONE.spec().id} and 0 < len(one) < len(found)


def test_a_frame_of_cases_gives_the_numbers_of_the_store(home: Path) -> None:
    cases = palimpsest.frame("cases", home, run=ONE.spec().id)
    asked = cases[(cases.kind == "rewrite") & (cases.edits == 40) & (cases.position < 40)]
    by_hand = 100 * asked.groupby("case_id")["exact_new"].mean().mean()
    metrics = palimpsest.frame("metrics", home, run=ONE.spec().id)
    chosen = metrics[(metrics.metric == "efficacy_argmax") & (metrics.window == "all") & (metrics.edits == 40)]
    assert chosen["value"].item() == pytest.approx(by_hand)


def test_runs_of_a_home_and_their_curves(home: Path) -> None:
    by_editor = {run.editor: run for run in palimpsest.runs(home)}
    assert {name: run.status for name, run in by_editor.items()} == {"memit": "complete", "ft-l": "collapsed"}
    curve = by_editor["memit"].curve("efficacy_argmax")
    assert list(curve.index) == [10, 40] and (curve["low"] <= curve["value"]).all()
    assert by_editor["ft-l"].curve("efficacy_argmax")["imputed"].to_list() == [False, True]
    with pytest.raises(UsageError, match="efficacy_argmax"):
        by_editor["memit"].curve("efficiency")


def test_wrong_names_and_a_missing_store_are_told(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="metrics"):
        palimpsest.frame("metricks", home)
    with pytest.raises(StoreError, match="store ingest"):
        palimpsest.frame("metrics", tmp_path)
    assert palimpsest.runs(tmp_path) == []


def test_editing_in_one_call_teaches_the_facts_and_leaves_the_given_model_alone(pocket: tuple[Any, Any]) -> None:
    model, tokenizer = pocket
    cases = load_task("pocket-counterfact").cases[:4]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    edited = palimpsest.edit(model, tokenizer, [case.request for case in cases], editor="ft-l", batch_size=2)
    old, new = (palimpsest.score(one, tokenizer, cases).metrics for one in (model, edited))
    assert old["efficacy_preference"] < new["efficacy_preference"]
    assert all(bool((before[name] == value).all()) for name, value in model.state_dict().items())
    assert model.training and all(parameter.requires_grad for parameter in model.parameters())
    changed = [name for name, value in edited.state_dict().items() if not bool((before[name] == value).all())]
    assert len(changed) == 1
    model.eval()


def test_a_request_may_be_a_mapping_with_the_subject_in_its_prompt(pocket: tuple[Any, Any]) -> None:
    case = load_task("pocket-counterfact").cases[0]
    one = case.request
    spelled = {"prompt": one.prompt.format(one.subject), "subject": one.subject, "target_new": one.target_new}
    same = [palimpsest.edit(*pocket, [given], editor="ft-l").state_dict() for given in (one, spelled)]
    assert all(bool((value == same[1][name]).all()) for name, value in same[0].items())


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"prompt": "A is", "subject": "A", "target_new": ""}, "target_new"),
        ({"prompt": "It is", "subject": "A", "target_new": "B"}, "exactly once"),
        ({"subject": "A", "target_new": "B"}, "prompt"),
    ],
)
def test_a_request_that_makes_no_sense_is_told_by_number_and_field(
    request_: dict[str, str], told: str, pocket: tuple[Any, Any]
) -> None:
    with pytest.raises(UsageError, match=f"Request 0.*{told}"):
        palimpsest.edit(*pocket, [request_], editor="ft-l")


def test_scores_are_those_of_a_run_and_come_as_a_frame(pocket: tuple[Any, Any]) -> None:
    found = palimpsest.score(*pocket, "pocket-counterfact", cases=3)
    assert not math.isnan(found.metrics["score_argmax"])
    table = found.frame()
    assert set(table["kind"]) == {"rewrite", "paraphrase", "neighborhood"} and table["case_id"].nunique() == 3


def test_the_model_of_a_run_is_the_one_that_it_scored_and_that_edit_makes(
    tmp_path: Path, pocket: tuple[Any, Any]
) -> None:
    assert cli(*REAL, home=tmp_path)[0] == 0 and cli("store", "ingest", home=tmp_path)[0] == 0
    (run,) = palimpsest.runs(tmp_path)
    scored = palimpsest.frame("cases", tmp_path).query("edits == 6 and kind == 'rewrite'")
    cases = {case.request.case_id: case for case in load_task(run.task).cases}
    model = run.model(6)
    found = palimpsest.score(model, run.tokenizer(), [cases[case] for case in scored["case_id"]]).frame()
    rewrites = found[found["kind"] == "rewrite"]
    assert rewrites["nll_new"].to_list() == pytest.approx(scored["nll_new"].to_list(), abs=1e-4)
    first = [case.request for case in load_task(run.task).cases[:6]]
    again = palimpsest.edit(*pocket, first, editor="ft-l", batch_size=2).state_dict()
    assert all(bool((value == again[name]).all()) for name, value in model.state_dict().items())
    with pytest.raises(UsageError, match="beyond"):
        run.model(8)
