"""Abilities in plain English: what ships is what is generated, and each item has one right answer."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from palimpsest.harness.abilities.ability_harness import AbilityHarness
from palimpsest.tasks.ability_library import AbilityLibrary
from palimpsest.tasks.plain.items import FOLDER, ITEMS, TASKS, task_files, task_items, words
from tests.labs.tiny_models import tiny_model
from tests.tasks.general.test_items import RECORDS, written


def test_shipped_items_are_what_is_generated() -> None:
    for name, content in task_files().items():
        assert (FOLDER / name).read_text(encoding="utf-8") == content, name


@pytest.mark.parametrize("task", TASKS)
def test_every_item_is_another_and_its_right_answer_stands_at_each_place_equally_often(task: str) -> None:
    items = task_items(task)
    assert len({(one.text, frozenset(one.choices)) for one in items}) == ITEMS
    assert all(len(set(one.choices)) == len(one.choices) == len(items[0].choices) for one in items)
    places = Counter(one.answer for one in items)
    assert set(places.values()) == {ITEMS // len(items[0].choices)}


def test_no_wrong_answer_is_an_opposite_too() -> None:
    pairs = {frozenset(pair) for pair in words()["opposites"]}
    for one in task_items("plain_opposites"):
        asked = one.text.split()[-2]
        right = [choice for choice in one.choices if frozenset((asked, choice)) in pairs]
        assert right == [one.choices[one.answer]], one


def test_nothing_is_of_two_kinds_and_no_thing_has_two_answers() -> None:
    members = Counter(member for table in words()["kinds"].values() for member in table)
    assert set(members.values()) == {1}
    answers = Counter(group["answer"] for group in words()["sense"])
    assert set(answers.values()) == {1}
    for one in task_items("plain_copying"):
        told, _, again = one.text.partition(". Once more: ")
        assert told.removeprefix("The list: ").startswith(f"{again} {one.choices[one.answer]}"), one


def test_the_group_is_asked_without_any_data_and_pocket_tasks_keep_their_identity() -> None:
    library = AbilityLibrary()
    refs = library.refs(["plain"], 2)
    assert [ref.name for ref in refs] == list(TASKS)
    outcomes = {one.name: one for one in AbilityHarness(tiny_model("llama"), refs, library=library).evaluate()}
    assert {name: one.chance for name, one in outcomes.items()} == dict.fromkeys(TASKS, 0.25) | {"plain_agreement": 0.5}
    assert all(len(one.items) == 2 for one in outcomes.values())
    (pocket,) = library.refs(["pocket_recall"], None)
    assert pocket.content_hash.startswith("1aa2ca058c46b02e")


def test_small_models_are_asked_from_the_hub_or_from_local_files(tmp_path: Path) -> None:
    hub = AbilityLibrary().refs(["small-models"], None)
    assert [(ref.name, ref.limit) for ref in hub] == [("lambada_openai", 500), ("blimp", 8), ("piqa", 500)]
    for file in ("lambada_test", "blimp_200_per_paradigm", "piqa_valid"):
        written(tmp_path, file, [RECORDS[file]] * 3)
    local = AbilityLibrary([tmp_path]).refs(["small-models"], None)
    assert [(ref.name, ref.limit) for ref in local] == [
        ("general_lambada", 500), ("general_blimp", 536), ("general_piqa", 500)
    ]  # fmt: skip
