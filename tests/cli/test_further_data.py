"""Runs on data with further questions, and in published forms, from the command line to the page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.helpers import cli
from tests.fuzz.test_damaged_data import counterfact
from tests.labs.tiny_models import random_model, tokenizer
from tests.tasks.test_further_tasks import KNOWEDIT, MQUAKE, ONE_MORE_FACT

SETTINGS = {"layer": 1, "steps": 2, "learning_rate": 0.01, "norm_constraint": 0.01, "weight_decay": 0.0}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with a begin-of-text token, and data of three kinds."""
    folder = tmp_path_factory.mktemp("files")
    random_model("llama").save_pretrained(folder / "model")
    tokenizer().save_pretrained(folder / "model")
    knowedit = [KNOWEDIT | {"subject": name, "prompt": f"The country of {name} is"} for name in ("Ada", "Bo", "Cy")]
    mquake = [MQUAKE | {"case_id": number} for number in range(3)]
    extras = [{"case_id": 3 * number, "portability": ONE_MORE_FACT} for number in range(3)]
    extras[1]["alternative_subject"] = "Another"
    extras[2]["distracting_neighborhood_prompts"] = ["It is so. Bo Tam lives in"]
    rows = {"knowedit": knowedit, "mquake": mquake, "cf": [counterfact(n) for n in range(4)], "extras": extras}
    for name, records in rows.items():
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return folder


def words(files: Path, task: str, data: str, *more: str) -> list[str]:
    settings = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    return [
        *("run", "--model", str(files / "model"), "--editor", "ft-l", "--task", task, "--data", data, "--edits", "3"),
        *("--batch-size", "1", "--checkpoints", "0,2,3", *settings, *more),
    ]


def scores(run: str, home: Path) -> Any:
    code, out, err = cli("show", run, "--json", home=home)
    assert code == 0, err
    return json.loads(out)["scores"]["metrics"]["all"]


@pytest.mark.parametrize(
    ("task", "metrics", "missing"),
    [
        ("knowedit", {"portability_token_accuracy", "portability_logic_argmax"}, ()),
        ("mquake", {"multi_hop_argmax", "multi_hop_any_mquake"}, ("neighborhood_argmax", "score_argmax")),
    ],
)
def test_a_task_may_lack_probes_of_a_kind(
    task: str, metrics: set[str], missing: tuple[str, ...], files: Path, tmp_path: Path
) -> None:
    code, out, err = cli(*words(files, task, str(files / f"{task}.jsonl")), home=tmp_path)
    assert code == 0, err
    assert "complete after 3 of 3 edits" in out and "nan" not in out + err
    assert ("score" not in out) == bool(missing)
    (run,) = (tmp_path / "runs").iterdir()
    found = scores(run.name, tmp_path)
    assert metrics <= set(found) and all(0 <= found[name] <= 100 for name in metrics)
    assert all(found[name] is None for name in missing)
    _, text, _ = cli("show", run.name, home=tmp_path)
    assert "nan" not in text
    if task != "mquake":
        return
    assert cli("store", "ingest", "--quiet", home=tmp_path)[0] == 0
    code, _, err = cli("site", "build", home=tmp_path)
    assert code == 0, err


def test_published_forms_and_further_probes_reach_the_page_and_the_exports(files: Path, tmp_path: Path) -> None:
    data = f"{files / 'cf.jsonl'}+{files / 'extras.jsonl'}"
    asked = ("--top", "--published-top", "--generation", "2", "--generation-tokens", "20", "--special-tokens")
    code, _, err = cli(*words(files, "counterfact-portability", data, *asked), "--quiet", home=tmp_path)
    assert code == 0, err
    (run,) = (tmp_path / "runs").iterdir()
    found = scores(run.name, tmp_path)
    names = ["neighborhood_top", "neighborhood_top_deltaedit", "locality_easyedit", "fluency", "fluency_special_tokens"]
    names += ["portability_argmax", "portability_reasoning_argmax", "portability_alias_argmax", "distracting_argmax"]
    assert all(found[name] is not None for name in names)
    assert found["fluency_special_tokens"] > found["fluency"]
    assert cli("store", "ingest", "--quiet", home=tmp_path)[0] == 0
    code, _, err = cli("site", "build", home=tmp_path)
    assert code == 0, err
    html = (tmp_path / "site" / "run" / f"{run.name}.html").read_text(encoding="utf-8")
    (section,) = re.findall(r'<section aria-labelledby="extras-title">.*?</section>', html, re.S)
    for title in ("DeltaEdit’s form", "EasyEdit’s form", "published form", "Portability to another name (argmax)"):
        assert title in section, title
    assert 'title="EasyEdit&#39;s locality: share of the true target' in section
    assert 'id="collapse-point"' in html
    for flag in ("--published-top", "--special-tokens", "cf.jsonl+extras.jsonl"):
        assert flag in html, flag
    (track,) = (tmp_path / "site" / "track").glob("*.html")
    heads = re.findall(r'data-column="(\w+)"', track.read_text(encoding="utf-8"))
    assert {"neighborhood_top_deltaedit", "locality_easyedit", "portability_argmax", "distracting_argmax"} <= set(heads)
    assert {"fluency", "fluency_special_tokens"} <= set(heads)
    code, out, err = cli(
        "store", "query", "SELECT edits, beyond FROM headlines WHERE quantity = 'collapse_point_nas'", home=tmp_path
    )
    assert code == 0 and len(out.splitlines()) == 2, err
