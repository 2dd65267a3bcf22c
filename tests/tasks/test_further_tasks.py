"""Tasks whose data have questions beyond edit, paraphrase and neighborhood, and data from several files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from palimpsest.harness.errors import ConfigError, MissingResource, UsageError
from palimpsest.harness.specs.cases import Case
from palimpsest.tasks.registry import data_files, load_task
from tests.fuzz.test_damaged_data import counterfact
from tests.tasks.test_data_files import load, write

ONE_MORE_FACT = {
    "Recalled Relation": "(Oslo, in, Norway)",
    "New Question": "In which country is it?",
    "New Answer": "A",
}
ZSRE: dict[str, Any] = {
    "subject": "NGC 1",
    "src": "Which is the constellation of NGC 1?",
    "rephrase": "Where is NGC 1?",
    "alt": "Lyra",
    "answers": ["Ursa Major", "Bear"],
}
KNOWEDIT: dict[str, Any] = {
    "subject": "Ada",
    "prompt": "The country of Ada is",
    "target_new": "Chad",
    "ground_truth": ["Peru", "Republic of Peru"],
    "rephrase_prompt": "Ada is of",
    "portability": {
        "Reasoning": [{"prompt": "The capital of Ada's country is", "ground_truth": ["N'Djamena", "Ndjamena "]}],
        "Subject_Aliasing": [{"prompt": "The country of Lady Ada is", "ground_truth": "Chad"}],
        "Logical_Generalization": [{"prompt": "Somebody of Chad is", "ground_truth": "Ada"}],
    },
    "locality": {"Relation_Specificity": [{"prompt": "Ada's work is", "ground_truth": ["logic", "maths"]}], "More": []},
}
MQUAKE: dict[str, Any] = {
    "case_id": 7,
    "requested_rewrite": [
        {
            "prompt": "{} is a citizen of",
            "relation_id": "P27",
            "subject": "Ada",
            "target_new": {"str": "Chad"},
            "target_true": {"str": "Peru"},
            "question": "Of which country is Ada?",
        }
    ],
    "questions": ["Who leads Ada's country?", "Who is the head of Ada's country?"],
    "new_answer": "M. Deby",
    "new_answer_alias": ["Deby", "M. Deby"],
}


def asked(case: Case, kind: str) -> list[tuple[int, str, str, str]]:
    return [(p.index, p.prompt, p.target_new, p.target_true) for p in case.probes if p.kind == kind]


def test_extras_of_counterfact_are_joined_by_case(tmp_path: Path) -> None:
    base = write(tmp_path / "base.jsonl.gz", *(counterfact(number) for number in range(4)))
    first = write(tmp_path / "portability.jsonl", {"case_id": 6, "portability": ONE_MORE_FACT})
    others = [{"case_id": 9, "alternative_subject": "The other"}, {"case_id": 6, "alternative_subject": "Another"}]
    second = write(tmp_path / "subjects.json", others)
    third = write(
        tmp_path / "d.jsonl", {"case_id": 9, "distracting_neighborhood_prompts": ["X is. Y is", "X is. Z is"]}
    )
    task = load(Path(f"{base}+{first}+{second}+{third}"), "counterfact-portability")
    assert task.name == "counterfact-portability:base.jsonl.gz+portability.jsonl+subjects.json+d.jsonl"
    assert [case.request.case_id for case in task.cases] == [6, 9], "only what the others add to"
    two, three = task.cases
    plain = {case.request.case_id: case for case in load(base).cases}
    for case in (two, three):
        known = plain[case.request.case_id]
        assert case.request == known.request and case.probes[: len(known.probes)] == known.probes
    request = three.request
    assert asked(two, "portability_reasoning") == [(0, "In which country is it?", "A", "")]
    assert asked(three, "portability_reasoning") == []
    prompt = request.prompt.replace("{}", "The other")
    assert asked(three, "portability_alias") == [(0, prompt, request.target_new, request.target_true)]
    assert asked(three, "distracting") == [
        (i, text, request.target_new, request.target_true) for i, text in enumerate(["X is. Y is", "X is. Z is"])
    ]
    assert task.form == "counterfact"


def test_what_cannot_be_joined_is_a_bad_record(tmp_path: Path) -> None:
    base = write(tmp_path / "base.jsonl", *(counterfact(number) for number in range(2)), {"a": 1})
    rows = [{"case_id": 10, "alternative_subject": "No such case"}, {"alternative_subject": "Of none"}]
    rows += [{"case_id": 3, "portability": ONE_MORE_FACT}, {"case_id": 3, "portability": ONE_MORE_FACT}]
    rows += [{"case_id": 0, "paraphrase_prompts": ["stands in both"]}]
    more = write(tmp_path / "more.jsonl", *rows)
    joined = Path(f"{base}+{more}")
    with pytest.raises(ConfigError) as caught:
        load(joined, "counterfact-portability")
    told = str(caught.value)
    assert f"{more}, line 1: case_id: base.jsonl has no case 10 that this could be added to." in told
    assert f"{more}, line 2: case_id: files are joined by it: expected a whole number, got None." in told
    assert f"{more}, line 4: portability: stands in several of the joined files for the same case." in told
    assert f"{base}, line 1: paraphrase_prompts: stands in several of the joined files" in told
    assert f"{base}, line 3: case_id: files are joined by it" in told
    task = load(joined, "counterfact-portability", skip_bad=True)
    assert [case.request.case_id for case in task.cases] == [3]


def test_a_file_with_a_plus_in_its_name_is_one_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a+b.jsonl", counterfact(0))
    assert load(path).name == "counterfact:a+b.jsonl"
    with pytest.raises(MissingResource, match="nothing.jsonl"):
        load(Path(f"{write(tmp_path / 'c.jsonl', counterfact(0))}+{tmp_path / 'nothing.jsonl'}"))


def test_a_counterfact_record_without_any_of_the_extras_is_bad(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="portability: is missing, and so are alternative_subject, distracting_neighb"
    ):
        load(write(tmp_path / "a.jsonl", counterfact(0)), "counterfact-portability")


def test_zsre_is_edited_to_what_its_questions_suppose(tmp_path: Path) -> None:
    rows = [
        ZSRE | {"portability": ONE_MORE_FACT, "loc": "nq question: who is it", "loc_ans": "Nobody"},
        ZSRE | {"alter_subject_question": "Which is the constellation of the first?", "alternative_subject": "x"},
        ZSRE | {"inverse question": "What is in Lyra?"},
    ]
    task = load(write(tmp_path / "a.jsonl", *rows), "zsre-portability")
    whole, other, inverse = task.cases
    assert task.form == "zsre" and whole.request.prompt == "Which is the constellation of {}?"
    assert (whole.request.target_new, whole.request.target_true) == ("Lyra", "Ursa Major")
    assert asked(whole, "rewrite") == [(0, ZSRE["src"], "Lyra", "")]
    assert asked(whole, "paraphrase") == [(0, "Where is NGC 1?", "Lyra", "")]
    assert asked(whole, "neighborhood") == [(0, "nq question: who is it?", "", "Nobody")]
    assert asked(whole, "portability_reasoning") == [(0, "In which country is it?", "A", "")]
    assert asked(other, "portability_alias") == [(0, "Which is the constellation of the first?", "Lyra", "")]
    assert asked(inverse, "portability_logic") == [(0, "What is in Lyra?", "NGC 1", "")]
    assert asked(other, "neighborhood") == []


def test_knowedit_has_all_its_questions_and_alternatives_of_one_prompt(tmp_path: Path) -> None:
    (case,) = load(write(tmp_path / "a.jsonl", KNOWEDIT), "knowedit").cases
    assert (case.request.prompt, case.request.target_true) == ("The country of {} is", "Peru")
    assert asked(case, "rewrite") == [(0, "The country of Ada is", "Chad", "")]
    assert asked(case, "paraphrase") == [(0, "Ada is of", "Chad", "")]
    assert asked(case, "neighborhood") == [(0, "Ada's work is", "", "logic")]
    prompt = "The capital of Ada's country is"
    assert asked(case, "portability_reasoning") == [(0, prompt, "N'Djamena", ""), (1, prompt, "Ndjamena", "")]
    assert asked(case, "portability_alias") == [(0, "The country of Lady Ada is", "Chad", "")]
    assert asked(case, "portability_logic") == [(0, "Somebody of Chad is", "Ada", "")]
    short = {name: value for name, value in KNOWEDIT.items() if name not in ("portability", "locality")}
    (bare,) = load(write(tmp_path / "b.jsonl", short | {"ground_truth": "Peru"}), "knowedit").cases
    assert {probe.kind for probe in bare.probes} == {"rewrite", "paraphrase"}


def test_knowedit_without_what_was_true_and_with_lists_of_names_is_read(tmp_path: Path) -> None:
    """As WikiData_recent has it: facts that are new, and answers that are lists of their names."""
    alive: dict[str, Any] = {"prompt": "Is Ada still alive?", "ground_truth": [["no"], ["incorrect", "false"], ["no"]]}
    work = {"prompt": "Ada's work is", "ground_truth": [["logic", "mathematics"]]}
    record: dict[str, Any] = {"subject": "Ada", "prompt": "The place of death of Ada is", "target_new": "Chad"}
    record |= {"portability": {"Logical_Generalization": [alive]}, "locality": {"Relation_Specificity": [work]}}
    (case,) = load(write(tmp_path / "a.jsonl", record), "knowedit").cases
    assert (case.request.target_new, case.request.target_true) == ("Chad", "")
    assert asked(case, "neighborhood") == [(0, "Ada's work is", "", "logic")]
    answers = ("no", "incorrect", "false")
    assert asked(case, "portability_logic") == [(i, alive["prompt"], one, "") for i, one in enumerate(answers)]


def test_mquake_asks_every_question_for_every_name_of_the_answer(tmp_path: Path) -> None:
    (case,) = load(write(tmp_path / "a.jsonl", MQUAKE), "mquake").cases
    assert (case.request.case_id, case.request.prompt, case.request.subject) == (7, "{} is a citizen of", "Ada")
    assert asked(case, "rewrite") == [(0, "Ada is a citizen of", "Chad", "Peru")]
    assert asked(case, "paraphrase") == [(0, "Of which country is Ada?", "Chad", "Peru")]
    pairs = [(question, answer) for question in MQUAKE["questions"] for answer in ("M. Deby", "Deby")]
    assert asked(case, "multi_hop") == [(i, question, answer, "") for i, (question, answer) in enumerate(pairs)]


EDIT = MQUAKE["requested_rewrite"][0]
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("zsre-portability", ZSRE, "portability: is missing, and so are alter_subject_question, inverse question"),
    ("zsre-portability", ZSRE | {"alt": "Bear"}, "alt: is one of the answers before the edit"),
    ("zsre-portability", ZSRE | {"src": "Where?"}, "src: expected the subject 'NGC 1' exactly once"),
    ("zsre-portability", ZSRE | {"portability": {}}, "portability.New Question: is missing."),
    ("knowedit", KNOWEDIT | {"target_new": "Peru"}, "target_new: is what was true before"),
    ("knowedit", KNOWEDIT | {"prompt": "Ada and Ada is"}, "prompt: expected the subject 'Ada' exactly once"),
    ("knowedit", KNOWEDIT | {"ground_truth": []}, "ground_truth: at least one answer is needed."),
    ("knowedit", KNOWEDIT | {"ground_truth": [[]]}, "ground_truth: at least one answer is needed."),
    ("knowedit", KNOWEDIT | {"ground_truth": [["Peru"], [["Peru"]]]}, "ground_truth: expected a list of texts"),
    ("knowedit", KNOWEDIT | {"portability": {"Other": []}}, "portability: expected only Reasoning, Subject_Aliasing"),
    ("knowedit", KNOWEDIT | {"locality": {"A": [{"prompt": "x"}]}}, "ground_truth: is missing."),
    ("knowedit", KNOWEDIT | {"locality": {"A": "x"}}, "locality: expected an object of lists"),
    ("knowedit", KNOWEDIT | {"locality": []}, "locality: expected an object of lists"),
    ("mquake", MQUAKE | {"requested_rewrite": [EDIT, EDIT]}, "requested_rewrite: expected a list of one edit, got 2"),
    ("mquake", MQUAKE | {"requested_rewrite": None}, "requested_rewrite: expected a list of one edit, got None."),
    ("mquake", MQUAKE | {"questions": []}, "questions: at least one question is needed."),
    (
        "mquake",
        MQUAKE | {"requested_rewrite": [EDIT | {"prompt": "Ada is"}]},
        "expected exactly one {} for the subject",
    ),
    ("mquake", MQUAKE | {"requested_rewrite": [EDIT | {"target_new": {"str": "Peru"}}]}, "equals target_true ('Peru')"),
    ("mquake", {name: MQUAKE[name] for name in MQUAKE if name != "new_answer"}, "new_answer: is missing."),
]


@pytest.mark.parametrize(("task", "record", "complaint"), BAD)
def test_a_bad_record_is_told_by_its_field(task: str, record: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path / "a.jsonl", record), task)
    assert f"line 1: {complaint}" in str(caught.value) or complaint in str(caught.value)


@pytest.mark.parametrize("task", ["zsre-portability", "knowedit", "mquake"])
@pytest.mark.parametrize("record", ["text", 5, None, {}, {"requested_rewrite": [7]}, {"portability": 3}])
def test_a_record_of_another_shape_never_ends_in_a_traceback(task: str, record: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="1 record read, 1 bad"):
        load(write(tmp_path / "a.jsonl", record), task)


def test_other_tasks_do_not_read_further_fields(tmp_path: Path) -> None:
    """Runs on such files keep their identity, and cost what they did."""
    more = {"portability": ONE_MORE_FACT, "alternative_subject": "x", "distracting_neighborhood_prompts": ["y"]}
    one, other = (
        load(write(tmp_path / name, record))
        for name, record in (("a.jsonl", counterfact(0)), ("b.jsonl", counterfact(0) | more))
    )
    assert one.content_hash == other.content_hash


def test_a_task_without_a_place_on_the_hub_says_that_it_reads_a_file() -> None:
    with pytest.raises(MissingResource, match="give it with --data mquake=FILE"):
        load_task("mquake")
    with pytest.raises(UsageError, match="says? which|is not among the tasks|expected one"):
        data_files(["a.jsonl", "b.jsonl"], ["mquake"])
