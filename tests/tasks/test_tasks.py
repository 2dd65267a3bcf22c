"""Edit tasks follow the schemas of CounterFact and ZsRE; bad data is named line by line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from palimpsest.harness.errors import ConfigError, MissingResource, UsageError
from palimpsest.tasks.pocket.abilities import FOLDER, ability_files
from palimpsest.tasks.pocket.edits import counterfact_records, zsre_records
from palimpsest.tasks.pocket.world import build_world
from palimpsest.tasks.registry import load_task, task_names
from palimpsest.tasks.statistics_texts import statistics_text

RECORD: dict[str, Any] = {
    "case_id": 7,
    "requested_rewrite": {
        "prompt": "{} lives in",
        "subject": "Ada Vex",
        "relation_id": "P1",
        "target_new": {"str": "Rome", "id": "Q1"},
        "target_true": {"str": "Oslo", "id": "Q2"},
    },
    "paraphrase_prompts": ["It rained. Ada Vex has a home in"],
    "neighborhood_prompts": ["Bo Tam lives in"],
    "attribute_prompts": [],
    "generation_prompts": ["Ada Vex is known for"],
}


def _file(folder: Path, *records: Any) -> Path:
    path = folder / "cases.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_pocket_counterfact_has_the_promised_prompts() -> None:
    task = load_task("pocket-counterfact")
    assert len(task.cases) >= 2000
    objects = {name: kind for kind, names in build_world().objects.items() for name in names}
    for case in task.cases:
        kinds = [probe.kind for probe in case.probes]
        assert kinds.count("rewrite") == 1 and kinds.count("paraphrase") == 4 and kinds.count("neighborhood") >= 5
        assert kinds.count("attribute") >= 5 and kinds.count("generation") >= 2
        assert case.request.prompt.count("{}") == 1 and case.request.target_new != case.request.target_true
        assert objects[case.request.target_new] == objects[case.request.target_true]


def test_neighborhood_subjects_are_never_edited_and_share_the_true_object() -> None:
    world = build_world()
    edited = {record["requested_rewrite"]["subject"] for record in counterfact_records(world)}
    tuned = {record["requested_rewrite"]["subject"] for record in counterfact_records(world, "tuning")}
    assert not edited & tuned
    truth = {(fact.relation.name, fact.subject.name): fact.object for fact in world.facts}
    reserve = {fact.subject.name for fact in world.facts_of("reserve")}
    for record in counterfact_records(world):
        rewrite = record["requested_rewrite"]
        before, after = rewrite["prompt"].split("{}")
        for prompt in record["neighborhood_prompts"]:
            name = prompt.removeprefix(before).removesuffix(after)
            assert name in reserve
            assert truth[rewrite["relation_id"], name] == rewrite["target_true"]["str"]


def test_the_first_edits_never_share_a_subject() -> None:
    subjects = [case.request.subject for case in load_task("pocket-counterfact").cases]
    assert len(set(subjects[:750])) == 750


def test_pocket_zsre_asks_questions_and_locality_about_reserve_subjects() -> None:
    task = load_task("pocket-zsre")
    assert len(task.cases) >= 1000
    reserve = {fact.subject.name for fact in build_world().facts_of("reserve")}
    for case in task.cases:
        rewrite, paraphrase, locality = case.probes
        assert rewrite.prompt != paraphrase.prompt and "?" in rewrite.prompt
        assert any(name in locality.prompt for name in reserve)


def test_shipped_ability_files_are_what_the_world_generates() -> None:
    for name, content in ability_files(build_world()).items():
        assert (FOLDER / name).read_text(encoding="utf-8") == content, name


def test_content_hash_changes_with_data_and_with_order(tmp_path: Path) -> None:
    other = {**RECORD, "case_id": 8}
    first = load_task(f"counterfact:{_file(tmp_path, RECORD, other)}")
    second = load_task(f"counterfact:{_file(tmp_path, other, RECORD)}")
    changed = load_task(f"counterfact:{_file(tmp_path, {**RECORD, 'neighborhood_prompts': []}, other)}")
    assert len({first.content_hash, second.content_hash, changed.content_hash}) == 3


def test_gzipped_and_list_files_read_like_json_lines(tmp_path: Path) -> None:
    lines = load_task(f"counterfact:{_file(tmp_path, RECORD)}").cases
    listed = tmp_path / "cases.json"
    listed.write_text(json.dumps([RECORD]))
    packed = tmp_path / "cases.jsonl.gz"
    packed.write_bytes(gzip.compress(json.dumps(RECORD).encode()))
    assert load_task(f"counterfact:{listed}").cases == lines
    assert load_task(f"counterfact:{packed}").cases == lines


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("prompt", "no gap", "expected exactly one {}"),
        ("subject", "", "must not be empty"),
        ("subject", 3, "expected text"),
        ("target_new", {"str": "Oslo"}, "equals target_true"),
        ("target_new", "Oslo", "expected an object"),
    ],
)
def test_a_bad_record_is_named_with_line_field_and_value(tmp_path: Path, field: str, value: Any, said: str) -> None:
    bad = {**RECORD, "case_id": 8, "requested_rewrite": {**RECORD["requested_rewrite"], field: value}}
    with pytest.raises(ConfigError) as error:
        load_task(f"counterfact:{_file(tmp_path, RECORD, bad)}")
    assert "line 2" in str(error.value) and f"requested_rewrite.{field}" in str(error.value)
    assert said in str(error.value)


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_task(f"counterfact:{_file(tmp_path, {}, RECORD, RECORD, [1])}")
    text = str(error.value)
    assert "line 1" in text and "line 3: case_id: 7 was already used" in text and "line 4" in text


def test_broken_json_is_named_with_its_line(tmp_path: Path) -> None:
    path = _file(tmp_path, RECORD)
    path.write_text(path.read_text() + "{oops\n")
    with pytest.raises(ConfigError, match="line 2: not valid JSON"):
        load_task(f"counterfact:{path}")


def test_a_cut_off_gzip_file_is_a_message(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(RECORD).encode())[:-9])
    with pytest.raises(ConfigError, match="cannot be read"):
        load_task(f"counterfact:{path}")


def test_zsre_records_in_mend_form_get_the_published_locality_question(tmp_path: Path) -> None:
    record = {
        "subject": "Ada Vex",
        "src": "Where does Ada Vex live?",
        "rephrase": "Home of Ada Vex?",
        "answers": ["Rome"],
        "loc": "nq question: who wrote hamlet",
        "loc_ans": "Shakespeare",
    }
    (case,) = load_task(f"zsre:{_file(tmp_path, record)}").cases
    assert case.request.prompt == "Where does {} live?"
    assert case.probes[2].prompt == "nq question: who wrote hamlet?"


def test_unknown_names_say_what_is_near(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pocket-counterfact"):
        load_task("pocket-counterfct")
    with pytest.raises(UsageError, match="pocket"):
        statistics_text("poket")
    with pytest.raises(MissingResource, match="no such data file"):
        load_task(f"counterfact:{tmp_path / 'none.json'}")
    assert set(task_names()) >= {"pocket-counterfact", "pocket-zsre"}
    assert len(list(zsre_records(build_world()))) >= 1000
