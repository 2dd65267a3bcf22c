"""The texts of the pocket world: what the models are trained on, and what key statistics are taken from."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from palimpsest.tasks.pocket import lexicon, skills
from palimpsest.tasks.pocket.world import Fact, World

_SKILL_SHARES = {"addition": 0.35, "agreement": 0.12, "inference": 0.25, "sentiment": 0.08, "copying": 0.20}
_SHARE_OF_SKILLS = 0.32
_SHARE_OF_QUESTIONS = 0.22
_SHARE_OF_ASIDES = 0.10


def state(fact: Fact, template: str) -> str:
    """The fact said with ``template``, as one sentence."""
    return f"{template.format(fact.subject.name)} {fact.object}."


def fact_sentence(fact: Fact, rng: Random) -> str:
    """The fact in one of the wordings that the training text uses for it."""
    if rng.random() < _SHARE_OF_QUESTIONS:
        return state(fact, rng.choice(fact.relation.questions))
    wordings = [text for i, text in enumerate(fact.relation.statements) if i != fact.held_out]
    return state(fact, rng.choice(wordings))


def training_sentences(world: World, purpose: str = "training text") -> Iterator[str]:
    """An endless stream of sentences: facts in shuffled rounds, so that all are said equally often, and skills."""
    rng = world.stream(purpose)
    names, weights = list(_SKILL_SHARES), list(_SKILL_SHARES.values())
    while True:
        facts = list(world.facts)
        rng.shuffle(facts)
        for fact in facts:
            while rng.random() < _SHARE_OF_SKILLS:
                yield skills.training_sentence(rng.choices(names, weights)[0], rng)
            if rng.random() < _SHARE_OF_ASIDES:
                yield rng.choice(lexicon.ASIDES)
            yield fact_sentence(fact, rng)


def statistics_text(world: World, sentences: int = 12_000) -> list[str]:
    """Text for key statistics: a few sentences a piece, drawn like the training text but from a stream of its own."""
    stream = training_sentences(world, "statistics text")
    rng = world.stream("statistics pieces")
    pieces = []
    left = sentences
    while left > 0:
        size = min(left, rng.randrange(1, 5))
        pieces.append(" ".join(next(stream) for _ in range(size)))
        left -= size
    return pieces
