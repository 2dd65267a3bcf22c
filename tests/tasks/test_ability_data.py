"""Ability tasks with lm-eval's prompts over local files: read strictly, asked through lm-eval on a tiny model."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from palimpsest.harness.abilities.ability_harness import AbilityHarness
from palimpsest.harness.errors import ConfigError, MissingResource, UsageError
from palimpsest.tasks import ability_files
from palimpsest.tasks.ability_data import RESERVED, data_file, judge, load, load_text
from palimpsest.tasks.ability_library import AbilityLibrary, ability_groups, ability_names
from tests.labs.tiny_models import tiny_model

WORDS = ["no", "yes"]


def rows(name: str, count: int = 16) -> list[dict[str, Any]]:
    made = []
    for i in range(count):
        label: Any = i % 2
        if name in ("sst2", "cola"):
            made.append({"sentence": f"A fine day number {i}.", "label": label, "idx": i})
        elif name == "mmlu":
            choices = ["Oslo", "Lyon", "Brno", "Rome"]
            made.append({"question": f"Which city is it, {i}?", "choices": choices, "answer": i % 4, "subject": "x"})
        else:
            label = ("entailment", "not_entailment")[label] if name == "nli" else label
            made.append({"sentence1": f"It rains {i}.", "sentence2": "It is wet.", "label": label})
    return made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("sst2", "mrpc", "cola", "rte", "nli", "mmlu"):
        text = "".join(json.dumps(row) + "\n" for row in rows(name))
        if name == "mmlu":
            (tmp_path / "mmlu.jsonl.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (tmp_path / f"{name}.jsonl").write_text(text)
    (tmp_path / "wikitext.txt").write_text(
        "\n".join(f" Line {i} of the text says that it is late . " for i in range(90))
    )
    return tmp_path


def test_the_suite_with_lm_evals_prompts_runs_over_local_files(data: Path) -> None:
    library = AbilityLibrary([data])
    refs = library.refs(["glue-lm-eval", "glue-lm-eval-generated", "perplexity"], None)
    assert [ref.limit for ref in refs] == [100] * 12 + [20]
    outcomes = AbilityHarness(tiny_model("llama"), refs, library=library).evaluate()
    by_name = {outcome.name: outcome for outcome in outcomes}
    for name in ("sst2", "mrpc", "cola", "rte", "nli", "mmlu"):
        source = rows(name)[RESERVED:]
        labels = [row.get("answer", row.get("label")) for row in source]
        labels = [{"entailment": 0, "not_entailment": 1}.get(label, label) for label in labels]
        for form in ("", "_generated"):
            items = by_name[f"papers_{name}{form}"].items
            assert [item.label for item in items] == labels
            assert all(item.predicted in range(-1, 4) for item in items)
            assert all(item.correct == (item.label == item.predicted) for item in items)
    text = by_name["papers_wikitext"]
    assert text.metric == "word_perplexity" and text.score > 1
    assert sum(item.words or 0 for item in text.items) == 90 * 11


def test_without_data_the_group_is_lm_evals_own_and_nothing_is_imported_for_it() -> None:
    refs = AbilityLibrary().refs(["glue-lm-eval", "commonsense", "perplexity"], None)
    assert [ref.name for ref in refs][:6] == ["sst2", "mrpc", "cola", "rte", "mmlu", "mnli"]
    assert {ref.name: ref.limit for ref in refs}["mmlu"] == 2 and refs[-1].name == "wikitext"
    assert AbilityLibrary().source(refs[0]).shots == 0


def test_every_group_names_tasks_that_are_there() -> None:
    names = set(ability_names())
    for group in ability_groups().values():
        assert set(group.local) <= names


def test_references_change_with_the_data_and_not_with_packing(data: Path) -> None:
    before = AbilityLibrary([data]).refs(["papers_sst2", "papers_rte"], None)
    text = (data / "sst2.jsonl").read_bytes()
    (data / "sst2.jsonl").unlink()
    (data / "sst2.jsonl.gz").write_bytes(gzip.compress(text))
    assert AbilityLibrary([data]).refs(["papers_sst2", "papers_rte"], None) == before
    (data / "sst2.jsonl.gz").write_bytes(gzip.compress(text + text))
    after = AbilityLibrary([data]).refs(["papers_sst2", "papers_rte"], None)
    assert after[0] != before[0] and after[1] == before[1]
    with pytest.raises(ConfigError, match="changed since this run was specified"):
        AbilityLibrary([data]).source(before[0])


def test_missing_data_say_which_file_and_flag(data: Path) -> None:
    (data / "rte.jsonl").unlink()
    with pytest.raises(MissingResource, match=r"rte\.jsonl or rte\.jsonl\.gz.*--ability-data DIR"):
        AbilityLibrary([data]).refs(["glue-lm-eval"], None)
    with pytest.raises(MissingResource, match="no folder was given"):
        AbilityLibrary().refs(["papers_rte"], None)
    assert data_file("sst2", ["/nowhere", str(data)]) == data / "sst2.jsonl"


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"label": 1}, "sentence: expected text, got None"),
        ({"sentence": " ", "label": 1}, "sentence: expected text"),
        ({"sentence": "A.", "label": 2}, "label: expected a number from 0 to 1, got 2"),
        ({"sentence": "A.", "label": True}, "label: expected a number"),
        ({"sentence": "A.", "label": "entails"}, "label: expected a number"),
        ([], "expected an object"),
    ],
)
def test_wrong_records_are_named_by_line(data: Path, row: Any, complaint: str) -> None:
    with (data / "sst2.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    with pytest.raises(ConfigError, match=r"sst2\.jsonl, line 17: ") as caught:
        load(file="sst2", words=WORDS, ability_data=[str(data)])
    assert complaint in str(caught.value)


def test_files_that_are_too_short_or_no_text_are_told(data: Path) -> None:
    (data / "sst2.jsonl").write_text(json.dumps(rows("sst2")[0]))
    with pytest.raises(ConfigError, match="1 items; expected more than the 10"):
        load(file="sst2", words=WORDS, ability_data=[str(data)])
    (data / "wikitext.txt").write_text("\n \n")
    with pytest.raises(ConfigError, match="holds no text"):
        load_text(file="wikitext", ability_data=[str(data)])


def test_labels_can_be_turned_round_as_the_papers_code_did(data: Path) -> None:
    plain = load(file="rte", words=["True", "False"], ability_data=[str(data)])["test"]["label"]
    turned = load(file="rte", words=["True", "False"], ability_data=[str(data)], inverted=True)["test"]["label"]
    assert list(turned) == [1 - label for label in plain]


@pytest.mark.parametrize(
    ("answer", "words", "predicted"),
    [
        (" Yes, it is", WORDS, 1),
        ("No.", WORDS, 0),
        ("I know nothing", WORDS, -1),
        ("not sure, yes or no", WORDS, 1),
        ("", WORDS, -1),
        (" B. because", list("ABCD"), 1),
        ("a bad answer", list("ABCD"), -1),
        ("false", ["True", "False"], 1),
    ],
)
def test_generated_answers_are_read_by_whole_words(answer: str, words: list[str], predicted: int) -> None:
    found = judge({"choices": words, "label": 1}, [answer])
    assert found == {"acc": float(predicted == 1), "predicted": predicted}


def test_a_folder_or_file_of_ones_own_tasks(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("task: my_task  # comment\noutput_type: multiple_choice\n")
    (tmp_path / "items.jsonl").write_text("{}\n")
    library = AbilityLibrary()
    (ref,) = library.refs([str(tmp_path)], 7)
    assert (ref.name, ref.limit) == ("my_task", 7) and library.source(ref).folder == tmp_path
    assert AbilityLibrary().refs([str(tmp_path / "mine.yaml")], 7) == (ref,)
    (tmp_path / "items.jsonl").write_text("{}\n{}\n")
    assert AbilityLibrary().refs([str(tmp_path)], 7) != (ref,)
    (tmp_path / "other.yaml").write_text("task: pocket_recall\n")
    with pytest.raises(UsageError, match="'pocket_recall' is there already"):
        AbilityLibrary().refs([str(tmp_path)], None)
    with pytest.raises(UsageError, match="no such file"):
        AbilityLibrary().refs([str(tmp_path / "none.yaml")], None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no lm-eval task"):
        AbilityLibrary().refs([str(tmp_path / "empty")], None)


def own_task(folder: Path, data_files: str, more: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mine.yaml"
    path.write_text(
        "task: my_task\ndataset_path: json\ndataset_kwargs:\n  data_files:\n"
        f"    test: {data_files}\ndoc_to_text: !function code.text\n{more}"
    )
    return path


def test_data_in_a_subfolder_of_a_tasks_yaml_are_part_of_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    task = own_task(tmp_path / "t", "t/data/*.tsv")
    (tmp_path / "t" / "data" / "more").mkdir(parents=True)
    items = tmp_path / "t" / "data" / "items.tsv"
    items.write_text("a\tb\n")
    seen = {AbilityLibrary().refs([str(task)], None)}
    for path in (items, tmp_path / "t" / "data" / "more" / "read_by_code.jsonl", tmp_path / "t" / "data" / "code.py"):
        path.write_text("changed\n")
        seen.add(AbilityLibrary().refs([str(task)], None))
    assert len(seen) == 4
    (tmp_path / "t" / "__pycache__").mkdir()
    (tmp_path / "t" / "__pycache__" / "code.py").write_text("no part of it")
    assert AbilityLibrary().refs([str(task)], None) in seen


@pytest.mark.parametrize(
    ("data_files", "more", "said"),
    [
        ("elsewhere/items.jsonl", "", "reads .*items.jsonl, which is outside its folder"),
        ("t/../elsewhere/*.jsonl", "", "which is outside its folder"),
        ("https://example.org/items.jsonl", "", "which may change at any time"),
        ("t/items.jsonl", "include: ../elsewhere/base.yaml\n", r"base\.yaml, which is outside its folder"),
    ],
)
def test_data_outside_a_tasks_folder_are_refused(
    data_files: str, more: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    for name in ("items.jsonl", "base.yaml"):
        (tmp_path / "elsewhere" / name).write_text("{}\n")
    task = own_task(tmp_path / "t", data_files, more)
    (tmp_path / "t" / "items.jsonl").write_text("{}\n")
    with pytest.raises(ConfigError, match=said):
        AbilityLibrary().refs([str(task)], None)


def test_a_yaml_that_includes_itself_ends(tmp_path: Path) -> None:
    task = own_task(tmp_path / "t", str(tmp_path / "t" / "items.jsonl"), "include: mine.yaml\n")
    assert AbilityLibrary().refs([str(task)], None)


def test_a_task_in_somebodys_home_is_refused_before_all_of_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ability_files, "MOST", 5)
    task = own_task(tmp_path / "t", str(tmp_path / "t" / "items.jsonl"))
    (tmp_path / "t" / "photos").mkdir()
    for number in range(9):
        (tmp_path / "t" / "photos" / f"{number}.txt").write_text("")
    with pytest.raises(ConfigError, match="more than 5 files. Put the ability task into a folder of its own"):
        AbilityLibrary().refs([str(task)], None)
