"""Edits of real facts, as records in the schemas of CounterFact and ZsRE, drawn from one seed."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from random import Random
from typing import Any, Literal

from palimpsest.tasks.realworld.facts import Fact, Relation, all_facts, relations
from palimpsest.tasks.rounds import in_rounds

SEED = 2026
Split = Literal["benchmark", "tuning"]
_Role = Literal["benchmark", "tuning", "reserve"]
_SHARES: tuple[tuple[_Role, float], ...] = (("benchmark", 0.70), ("tuning", 0.08), ("reserve", 0.22))
_NEIGHBORS = 24
"""At most: many, since a model knows few, and only those that it knows can be lost."""
_ATTRIBUTES = 5
_ASIDES = (
    "The bus was late again this morning.",
    "Some rain fell in the night, and the streets are wet.",
    "My sister has painted her kitchen yellow.",
    "Please leave the keys on the table.",
    "The bread was still warm when it came.",
    "Nobody had thought of an umbrella.",
)


def counterfact_records(split: Split = "benchmark") -> Iterator[dict[str, Any]]:
    """Records in ROME's schema: first one fact of every subject, then the second facts, and so on.

    Each has four paraphrases, two of them behind an unrelated sentence. Its neighborhood is about subjects that share
    the object, and that no request of any split edits.
    """
    rng = _stream(f"counterfact {split}")
    reserve = _by_object()
    for case_id, fact in enumerate(_in_rounds(split, rng)):
        relation = relations()[fact.relation]
        target_new = _other_object(relation, fact, rng)
        prompt, *plain, first, second = rng.sample(relation.statements, 5)
        yield {
            "case_id": case_id,
            "requested_rewrite": {
                "prompt": prompt,
                "relation_id": relation.wikidata,
                "subject": fact.subject,
                "target_new": {"str": target_new},
                "target_true": {"str": fact.object},
            },
            "paraphrase_prompts": [
                *(text.format(fact.subject) for text in plain),
                *(f"{rng.choice(_ASIDES)} {text.format(fact.subject)}" for text in (first, second)),
            ],
            "neighborhood_prompts": _said(prompt, reserve[fact.relation, fact.object], _NEIGHBORS, rng),
            "attribute_prompts": _said(prompt, reserve[fact.relation, target_new], _ATTRIBUTES, rng),
            "generation_prompts": [text.format(fact.subject) for text in relation.generation],
        }


def zsre_records(split: Split = "benchmark") -> Iterator[dict[str, Any]]:
    """Records in MEND's question form, with a false answer of the same sort and a locality question each."""
    rng = _stream(f"zsre {split}")
    reserve = [fact for fact in all_facts() if _role(fact.subject) == "reserve"]
    for case_id, fact in enumerate(_in_rounds(split, rng)):
        relation = relations()[fact.relation]
        question, rephrased = relation.questions
        other = rng.choice(reserve)
        yield {
            "case_id": case_id,
            "subject": fact.subject,
            "src": question.format(fact.subject),
            "pred": fact.object,
            "rephrase": rephrased.format(fact.subject),
            "answers": [_other_object(relation, fact, rng)],
            "loc": rng.choice(relations()[other.relation].questions).format(other.subject),
            "loc_ans": other.object,
        }


def _stream(purpose: str) -> Random:
    """A generator of its own for each purpose, so that no use disturbs another."""
    return Random(f"palimpsest real world {SEED}: {purpose}")


@cache
def _role(subject: str) -> _Role:
    """Role of a subject, whatever relations it has: drawn by its name alone."""
    digest = hashlib.sha256(f"palimpsest real world {SEED}: {subject.casefold()}".encode()).digest()
    draw = int.from_bytes(digest[:8], "big") / 2**64
    for role, share in _SHARES:
        if draw < share:
            return role
        draw -= share
    return "reserve"


def _in_rounds(split: Split, rng: Random) -> Iterator[Fact]:
    """All facts of the split."""
    facts = (fact for fact in all_facts() if _role(fact.subject) == split)
    return in_rounds(facts, lambda fact: fact.subject.casefold(), rng)


@cache
def _by_object() -> dict[tuple[str, str], list[Fact]]:
    """Relation and object → the facts about subjects that are never edited."""
    found: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact in all_facts():
        if _role(fact.subject) == "reserve":
            found[fact.relation, fact.object].append(fact)
    return found


@cache
def _objects() -> dict[str, tuple[str, ...]]:
    """Sort of object → its objects, by name."""
    found: dict[str, set[str]] = defaultdict(set)
    for fact in all_facts():
        found[relations()[fact.relation].object].add(fact.object)
    return {sort: tuple(sorted(names)) for sort, names in found.items()}


def _other_object(relation: Relation, fact: Fact, rng: Random) -> str:
    return rng.choice([name for name in _objects()[relation.object] if name != fact.object])


def _said(prompt: str, facts: Sequence[Fact], count: int, rng: Random) -> list[str]:
    """The prompt about some of the facts' subjects."""
    return [prompt.format(fact.subject) for fact in rng.sample(facts, min(count, len(facts)))]
