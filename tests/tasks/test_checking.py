"""`palimpsest tasks check`: a file of edits is known by what can be read of it, and told record by record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from palimpsest.tasks.pocket import edits
from palimpsest.tasks.pocket.world import build_world
from palimpsest.tasks.registry import DataFiles
from tests.cli.helpers import cli

KNOWEDIT = [
    {
        "subject": f"Town {number}",
        "prompt": f"Town {number} lies in",
        "target_new": "Avalon",
        "ground_truth": ["Arden"],
        "rephrase_prompt": f"The land of Town {number} is",
        "locality": {"Relation_Specificity": [{"prompt": "Bree lies in", "ground_truth": ["Eriador"]}]},
    }
    for number in range(3)
]
MQUAKE = [
    {
        "case_id": number,
        "requested_rewrite": [
            {
                "prompt": "{} is a citizen of",
                "subject": f"Person {number}",
                "target_new": {"str": "Avalon"},
                "target_true": {"str": "Arden"},
                "question": f"Of which land is Person {number} a citizen?",
                "relation_id": "P27",
            }
        ],
        "questions": ["Where is that?"],
        "new_answer": "Overseas",
        "new_answer_alias": [],
    }
    for number in range(2)
]


def pocket(kind: str) -> list[Any]:
    records = edits.zsre_records if kind == "zsre" else edits.counterfact_records
    return list(records(build_world(), "benchmark"))[:4]


@pytest.mark.parametrize("task", ["counterfact", "zsre", "knowedit", "mquake"])
def test_a_file_is_known_by_its_records(task: str, tmp_path: Path) -> None:
    records = {"knowedit": KNOWEDIT, "mquake": MQUAKE}.get(task) or pocket(task)
    path = tmp_path / "edits.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    code, out, err = cli("tasks", "check", str(path), "--json")
    told = json.loads(out)
    assert code == 0 and (told["task"], told["usable"], told["records"]) == (task, len(records), len(records)), err


def test_bad_records_are_told_and_left_out_of_what_is_converted(tmp_path: Path) -> None:
    records = pocket("counterfact")
    del records[1]["requested_rewrite"]["subject"]
    path, out_path = tmp_path / "edits.json", tmp_path / "usable edits.jsonl"
    path.write_text(json.dumps(records), encoding="utf-8")
    code, out, err = cli("tasks", "check", str(path), "--convert", str(out_path))
    assert code == 0 and "3 of 4 records are usable" in out
    assert "record 2" in err and "subject" in err and f"--data '{out_path}'" in err.replace("~", str(Path.home()))
    assert len(DataFiles({"counterfact": out_path}).load("counterfact").cases) == 3


def test_a_file_of_something_else_is_told_with_what_each_reader_lacks(tmp_path: Path) -> None:
    path = tmp_path / "edits.json"
    path.write_text('[{"question": "Why?"}]', encoding="utf-8")
    code, _, err = cli("tasks", "check", str(path))
    assert code == 2 and all(kind in err for kind in ("CounterFact", "ZsRE", "KnowEdit", "MQuAKE")), err
    assert cli("tasks", "check", str(tmp_path / "nowhere.json"))[0] == 4
