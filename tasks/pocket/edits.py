"""The pocket world's edit tasks, as records in the schemas of CounterFact and ZsRE."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from random import Random
from typing import Any, Literal

from palimpsest.tasks.pocket.lexicon import ASIDES
from palimpsest.tasks.pocket.world import Fact, Role, World
from palimpsest.tasks.rounds import in_rounds

Split = Literal["benchmark", "tuning"]
ZSRE_REQUESTS = 1200
_NEIGHBORS = 6
_ATTRIBUTES = 5
_ROLES: dict[Split, Role] = {"benchmark": "edited", "tuning": "tuning"}


def counterfact_records(world: World, split: Split = "benchmark") -> Iterator[dict[str, Any]]:
    """Records in ROME's schema: first one fact of every subject, then the second facts, and so on.

    Each has four paraphrases (two plain, the first in the wording that training never used for this fact; two behind
    an unrelated sentence) and at least five neighborhood prompts about subjects that no request ever edits.
    """
    rng = world.stream(f"counterfact {split}")
    reserve = _by_object(world)
    for case_id, fact in enumerate(_in_rounds(world, split, rng)):
        relation = fact.relation
        target_new = _other_object(world, fact, rng)
        trained = [text for i, text in enumerate(relation.statements) if i != fact.held_out]
        prompt, plain, *prefixed = rng.sample(trained, 4)
        neighbors = _sample(rng, reserve[relation.name, fact.object], _NEIGHBORS)
        attributes = _sample(rng, reserve[relation.name, target_new], _ATTRIBUTES)
        yield {
            "case_id": case_id,
            "requested_rewrite": {
                "prompt": prompt,
                "relation_id": relation.name,
                "subject": fact.subject.name,
                "target_new": {"str": target_new},
                "target_true": {"str": fact.object},
            },
            "paraphrase_prompts": [
                relation.statements[fact.held_out].format(fact.subject.name),
                plain.format(fact.subject.name),
                *(f"{rng.choice(ASIDES)} {text.format(fact.subject.name)}" for text in prefixed),
            ],
            "neighborhood_prompts": [prompt.format(other.subject.name) for other in neighbors],
            "attribute_prompts": [prompt.format(other.subject.name) for other in attributes],
            "generation_prompts": [text.format(fact.subject.name) for text in relation.generations],
        }


def zsre_records(world: World, split: Split = "benchmark") -> Iterator[dict[str, Any]]:
    """Records in MEND's question form, with a new answer of the same kind and a locality question each."""
    rng = world.stream(f"zsre {split}")
    reserve = world.facts_of("reserve")
    for case_id, fact in enumerate(_in_rounds(world, split, rng)):
        if case_id == ZSRE_REQUESTS:
            return
        question, rephrased = fact.relation.questions
        other = rng.choice(reserve)
        yield {
            "case_id": case_id,
            "subject": fact.subject.name,
            "src": question.format(fact.subject.name),
            "pred": fact.object,
            "rephrase": rephrased.format(fact.subject.name),
            "answers": [_other_object(world, fact, rng)],
            "loc": rng.choice(other.relation.questions).format(other.subject.name),
            "loc_ans": other.object,
        }


def _in_rounds(world: World, split: Split, rng: Random) -> Iterator[Fact]:
    """All facts of the split."""
    return in_rounds(world.facts_of(_ROLES[split]), lambda fact: fact.subject.name, rng)


def _by_object(world: World) -> dict[tuple[str, str], list[Fact]]:
    reserve: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact in world.facts_of("reserve"):
        reserve[fact.relation.name, fact.object].append(fact)
    return reserve


def _other_object(world: World, fact: Fact, rng: Random) -> str:
    return rng.choice([other for other in world.objects[fact.relation.object_class] if other != fact.object])


def _sample(rng: Random, facts: list[Fact], count: int) -> list[Fact]:
    return rng.sample(facts, min(count, len(facts)))
