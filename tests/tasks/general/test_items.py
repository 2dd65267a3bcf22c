"""Items of general tasks: records are read strictly, and no text is changed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from palimpsest.harness.errors import ConfigError, MissingResource
from palimpsest.tasks.general.items import FORMS, load

PAIR = {"sentence1": "It rains. ", "sentence2": "It is wet."}
RECORDS: dict[str, dict[str, Any]] = {
    "sst2": {"sentence": "a fine film ", "label": 1, "idx": 3},
    "cola": {"sentence": "He sleep.", "label": 0},
    "mrpc": PAIR | {"label": 1},
    "rte": PAIR | {"label": 0},
    "nli": PAIR | {"label": "entailment", "index": "7"},
    "sentiment_analysis": {"sentence": "dull", "label": "0"},
    "ClosedDomainQA": {"passage": "Ice is cold.", "question": "is ice warm", "answer": False, "title": "Ice"},
    "mmlu": {"question": "1 + 1?", "choices": ["1", "2", "3", ""], "answer": 1, "subject": "sums"},
    "dialogue": {"article": "m : hi .", "options": ["a", "b", "c", "d"], "answers": "C"},
    "reasoning": {"question": "Two and two?", "answer": "2+2=<<2+2=4>>4\n#### 4"},
    "OpenDomainQA": {"question": "who was first?", "answer": ["Ann", "Ann B."], "output": ["\n\nAnn was."]},
    "lambada_test": {"text": 'She sighed.\n\n"He closed the door'},
    "blimp_200_per_paradigm": {"good": "He sleeps.", "bad": "He sleep.", "uid": "agreement", "pair_id": "3"},
    "piqa_valid": {"goal": "open a jar", "sol1": "turn the lid ", "sol2": "turn the glass", "label": 1},
    "arc_challenge_dev_test": {
        "question": "Which is a gas?",
        "choices": [{"text": "iron", "label": "1"}, {"text": "air", "label": "2"}, {"text": "wax", "label": "3"}],
        "answerKey": "2",
    },
    "summarization": {"dialogue": "A: Hi\r\nB: Hi", "summary": "They greet.", "id": "1"},
}


def written(folder: Path, file: str, records: Sequence[Any]) -> dict[str, Any]:
    text = "".join(json.dumps(record) + "\n" for record in records)
    (folder / f"{file}.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    return {"file": file, "ability_data": [str(folder)]}


@pytest.mark.parametrize("file", FORMS)
def test_every_form_of_file_is_read_and_no_text_is_changed(tmp_path: Path, file: str) -> None:
    record = RECORDS[file]
    (row,) = load(**written(tmp_path, file, [record]))["test"].to_list()
    texts = (
        "sentence",
        "sentence1",
        "sentence2",
        "question",
        "passage",
        "article",
        "dialogue",
        "summary",
        "text",
        "goal",
    )
    for name in texts:
        assert row.get(name, record.get(name)) == record.get(name, row.get(name))
    labels = {"sst2": 1, "cola": 0, "mrpc": 1, "rte": 0, "nli": 1, "sentiment_analysis": 0, "ClosedDomainQA": 0}
    labels |= {"mmlu": 1, "dialogue": 2, "blimp_200_per_paradigm": 0, "piqa_valid": 1, "arc_challenge_dev_test": 1}
    assert row.get("label") == labels.get(file)


def test_a_worked_answer_is_its_rationale_and_its_number(tmp_path: Path) -> None:
    (row,) = load(**written(tmp_path, "reasoning", [RECORDS["reasoning"]]))["test"].to_list()
    assert (row["rationale"], row["number"]) == ("2+2=<<2+2=4>>4\n", "4")


def test_reserved_items_are_examples_and_never_asked(tmp_path: Path) -> None:
    where = written(tmp_path, "cola", [{"sentence": str(i), "label": 0} for i in range(5)])
    parts = load(**where, reserved=2)
    assert [row["sentence"] for row in parts["test"]] == ["2", "3", "4"]
    assert [row["sentence"] for row in parts["examples"]] == ["0", "1"]
    with pytest.raises(ConfigError, match="5 items; expected more than the 5 that are kept for examples"):
        load(**where, reserved=5)
    with pytest.raises(ConfigError, match="0 items; expected some"):
        load(**written(tmp_path, "cola", []))


@pytest.mark.parametrize(
    ("file", "change", "complaint"),
    [
        ("sst2", {"sentence": " "}, "sentence: expected text, got ' '"),
        ("sst2", {"label": True}, "label: expected one of 0, 1, got True"),
        ("sst2", {"label": "1"}, "label: expected one of 0, 1, got '1'"),
        ("sentiment_analysis", {"label": 1}, "label: expected one of '0', '1', got 1"),
        ("nli", {"label": "neutral"}, "label: expected one of 'not_entailment', 'entailment', got 'neutral'"),
        ("ClosedDomainQA", {"answer": 0}, "answer: expected one of False, True, got 0"),
        ("mmlu", {"choices": ["1", "2"]}, "choices: expected a list of 4 texts"),
        ("mmlu", {"choices": ["1", "2", "3", 4]}, "choices: expected a list of 4 texts"),
        ("dialogue", {"answers": "E"}, "answers: expected one of 'A', 'B', 'C', 'D', got 'E'"),
        ("reasoning", {"answer": "it is 4"}, "answer: expected one #### before the final number, got 'it is 4'"),
        ("reasoning", {"answer": "#### 4 #### 5"}, "expected one ####"),
        ("OpenDomainQA", {"answer": []}, "answer: expected a list of some texts, got []"),
        ("OpenDomainQA", {"output": "Ann was."}, "output: expected a list of some texts, got 'Ann was.'"),
        ("summarization", {"summary": None}, "summary: expected text, got None"),
        ("lambada_test", {"text": "door"}, "text: expected several words, of which the last is asked for, got 'door'"),
        ("lambada_test", {"text": "the door "}, "text: expected several words"),
        ("blimp_200_per_paradigm", {"bad": ""}, "bad: expected text, got ''"),
        ("blimp_200_per_paradigm", {"uid": None}, "uid: expected text, got None"),
        ("piqa_valid", {"sol2": 2}, "sol2: expected text, got 2"),
        ("arc_challenge_dev_test", {"answerKey": "A"}, "answerKey: expected one of '1', '2', '3', got 'A'"),
        ("arc_challenge_dev_test", {"choices": ["a"]}, "choices: expected a list of objects with text and label"),
    ],
)
def test_wrong_records_are_named_by_file_line_and_field(
    tmp_path: Path, file: str, change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(**written(tmp_path, file, [RECORDS[file], RECORDS[file] | change, []]))
    assert f"{file}.jsonl.gz, line 2: " in str(caught.value) and complaint in str(caught.value)
    assert "line 3: expected an object, got []" in str(caught.value)


def test_questions_without_passages_are_told_how_else_they_can_be_asked(tmp_path: Path) -> None:
    record = {name: value for name, value in RECORDS["OpenDomainQA"].items() if name != "output"}
    where = written(tmp_path, "OpenDomainQA", [RECORDS["OpenDomainQA"], record])
    assert [row["passage"] for row in load(**where)["test"]] == ["\n\nAnn was.", ""]
    with pytest.raises(MissingResource, match="without a passage .*--abilities general_open_qa"):
        load(**where, passages=True)


def test_minimal_pairs_of_all_kinds_take_turns_and_the_good_sentence_stands_first_in_half_of_them(
    tmp_path: Path,
) -> None:
    pairs = [
        {"good": f"{kind} {number} sleeps.", "bad": f"{kind} {number} sleep.", "uid": kind}
        for kind in "abc"
        for number in range(100)
    ]
    rows = load(**written(tmp_path, "blimp_200_per_paradigm", pairs), in_turn="uid")["test"].to_list()
    assert [row["uid"] for row in rows[:7]] == ["a", "b", "c", "a", "b", "c", "a"] and len(rows) == 300
    assert all(row["options"][row["label"]].endswith("sleeps.") for row in rows)
    assert 120 < sum(row["label"] for row in rows) < 180
