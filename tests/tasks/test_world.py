"""The pocket world is the same on every machine and has what the tasks need."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from palimpsest.tasks.pocket import skills
from palimpsest.tasks.pocket.relations import RELATIONS
from palimpsest.tasks.pocket.text import state, statistics_text, training_sentences
from palimpsest.tasks.pocket.world import SEED, World, build_world


def test_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    again = build_world.__wrapped__(SEED)
    assert again == build_world()
    assert build_world(SEED + 1).subjects != again.subjects


def test_every_relation_places_the_subject_at_start_middle_and_near_the_end() -> None:
    assert len(RELATIONS) >= 12
    assert len({relation.object_class for relation in RELATIONS}) >= 8
    for relation in RELATIONS:
        positions = [text.index("{}") / len(text) for text in relation.statements]
        assert min(positions) == 0, relation.name
        assert any(0.2 < position < 0.75 for position in positions), relation.name
        assert max(positions) > 0.5, relation.name
        assert all(text.count("{}") == 1 for text in (*relation.statements, *relation.questions, *relation.generations))


def test_subjects_have_several_facts_and_names_of_their_own() -> None:
    world = build_world()
    per_subject = Counter(fact.subject.name for fact in world.facts)
    assert len(per_subject) == len(world.subjects)
    assert min(per_subject.values()) >= 3


def test_roles_never_share_a_subject() -> None:
    world = build_world()
    names = [{fact.subject.name for fact in world.facts_of(role)} for role in ("edited", "tuning", "reserve")]
    assert not names[0] & names[1] and not names[0] & names[2] and not names[1] & names[2]


def _said(world: World) -> set[str]:
    return set(islice(training_sentences(world), 120_000))


def test_training_text_never_says_a_fact_in_its_held_out_wording_but_says_all_facts() -> None:
    world = build_world()
    said = _said(world)
    for fact in world.facts:
        assert state(fact, fact.relation.statements[fact.held_out]) not in said
        assert any(state(fact, text) in said for text in (*fact.relation.statements, *fact.relation.questions))


def test_training_text_never_shows_a_held_out_skill_item() -> None:
    said = _said(build_world())
    for skill in skills.SKILLS:
        items = skills.test_items(skill, 100, build_world().stream(f"ability {skill}"))
        assert len({item.text for item in items}) == 100
        for item in items:
            assert item.sentence not in said
            assert len(set(item.choices)) == len(item.choices)


def test_statistics_text_is_repeatable_and_not_the_training_text() -> None:
    world = build_world()
    pieces = statistics_text(world, 500)
    assert pieces == statistics_text(world, 500)
    assert " ".join(pieces)[:200] != " ".join(islice(training_sentences(world), 20))[:200]
