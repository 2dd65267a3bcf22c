"""Real facts in our own sentences: what the rule leaves out, and what every record promises."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from palimpsest.harness.errors import UsageError
from palimpsest.tasks.known import find_list, ships
from palimpsest.tasks.realworld import edits, write_text
from palimpsest.tasks.realworld.facts import LEAST_SHARED, Fact, all_facts, chosen, relations
from palimpsest.tasks.registry import DataFiles
from palimpsest.tasks.statistics_texts import paragraphs

CONTINENT = [Fact("continent", f"Land {number}", "Asia") for number in range(LEAST_SHARED)]


def test_there_are_25_relations_with_six_statements_in_three_places_of_the_subject() -> None:
    used = {fact.relation for fact in all_facts()}
    assert used == set(relations()) and len(used) >= 25
    for relation in relations().values():
        assert len(relation.statements) == 6 and len(relation.questions) == 2
        for text in (*relation.statements, *relation.questions, *relation.generation):
            assert text.count("{}") == 1, text
        starts, middle, ends = (relation.statements[n : n + 2] for n in (0, 2, 4))
        assert all(text.startswith("{}") for text in starts), starts
        assert not any(text.startswith("{}") for text in middle), middle
        words = [text.split() for text in ends]
        assert all(len(w) - 1 - next(i for i, word in enumerate(w) if "{}" in word) <= 6 for w in words), ends


def test_the_shipped_facts_are_what_the_rule_chooses() -> None:
    assert chosen(all_facts()) == list(all_facts())
    assert len(all_facts()) > 15_000


@pytest.mark.parametrize(
    ("more", "left_out"),
    [
        ([Fact("continent", "Land 0", "Europe")], {"Land 0"}),  # two right answers
        ([Fact("occupation", "LAND 1", "poet")], {"Land 1"}),  # a person and a place
        ([Fact("continent", "Asia Minor", "Asia")], {"Asia Minor"}),  # names its object
        ([Fact("continent", "Asia", "Asia")], {"Asia"}),
        ([Fact("continent", "Atlantis", "Oceania")], {"Atlantis"}),  # alone with its object
    ],
)
def test_what_no_edit_can_be_judged_by_is_left_out(more: list[Fact], left_out: set[str]) -> None:
    spare = [Fact("continent", f"Island {number}", "Asia") for number in range(2)]
    kept = {fact.subject for fact in chosen([*CONTINENT, *spare, *more])}
    assert kept == {fact.subject for fact in [*CONTINENT, *spare]} - left_out


def subjects(records: Iterable[dict[str, object]]) -> set[str]:
    return {str(record["requested_rewrite"]["subject"]).casefold() for record in records}  # type: ignore[index]


def test_no_subject_is_edited_in_two_splits_and_no_neighbor_is_edited_at_all() -> None:
    benchmark, tuning = list(edits.counterfact_records()), list(edits.counterfact_records("tuning"))
    assert len(benchmark) > 9_000 and len(tuning) > 1_000
    edited = subjects(benchmark) | subjects(tuning)
    assert not subjects(benchmark) & subjects(tuning)
    for record in benchmark[:2000] + tuning:
        prompt = record["requested_rewrite"]["prompt"]
        around = prompt.split("{}")
        for text in record["neighborhood_prompts"] + record["attribute_prompts"]:
            name = text.removeprefix(around[0]).removesuffix(around[1])
            assert name.casefold() not in edited


def test_the_new_target_is_another_object_of_the_same_sort_and_early_edits_share_no_subject() -> None:
    sorts = {relation.wikidata: relation.object for relation in relations().values()}
    objects = defaultdict(set)
    for fact in all_facts():
        objects[sorts[relations()[fact.relation].wikidata]].add(fact.object)
    assert len(sorts) == len(relations()) and len(objects) < len(relations()), "several relations of one sort"
    benchmark = list(edits.counterfact_records())
    for record in benchmark + list(edits.counterfact_records("tuning")):
        rewrite = record["requested_rewrite"]
        new, true = rewrite["target_new"]["str"], rewrite["target_true"]["str"]
        assert new != true and {new, true} <= objects[sorts[rewrite["relation_id"]]], rewrite
    counted = Counter(record["requested_rewrite"]["subject"].casefold() for record in benchmark[:3000])
    assert max(counted.values()) == 1


def test_the_small_model_of_real_text_knows_enough_requests_with_five_neighbors_each() -> None:
    facts = find_list("realworld-counterfact", "974d5f3637cc")
    assert facts is not None and facts.model == "smollm2-135m" and ships(facts.name)
    neighbors = [sum(p.kind == "neighborhood" for p in case.probes) for case in DataFiles().load(facts.name).cases]
    assert sum(count >= 5 for count in neighbors) >= 1_500


def test_both_forms_are_tasks_that_load_and_are_the_same_every_time() -> None:
    for name in ("realworld-counterfact", "realworld-counterfact-tuning", "realworld-zsre"):
        task = DataFiles().load(name)
        assert len(task.cases) > 1_000
        assert task.content_hash == DataFiles().load(name).content_hash


def test_the_text_of_key_statistics_is_what_a_model_says_the_same_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_text, "BATCH", 3)
    monkeypatch.setattr(write_text, "LENGTH", 12)
    said = []
    for name in ("a.txt.gz", "b.txt.gz"):
        words = ["write_text", "pocket-gpt2", str(tmp_path / name), "--tokens", "50", "--begin"]
        with pytest.raises(UsageError, match="has no such token"):
            monkeypatch.setattr(sys, "argv", [*words, "<|nothing|>"])
            write_text.main()
        monkeypatch.setattr(sys, "argv", [*words, "<|end|>"])
        write_text.main()
        said.append(paragraphs(tmp_path / name))
    assert said[0] == said[1] and len(said[0]) >= 4
    assert all(text.split() for text in said[0]) and len({*said[0]}) > 1
