"""Small skills beside the facts: each yields training sentences and held-out test items that training never shows.

An item is held out by a hash of what it asks, so that the training text can avoid it without keeping a list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from random import Random

from palimpsest.tasks.choice_items import Item
from palimpsest.tasks.pocket import lexicon


def is_held_out(key: str, share: float = 0.2) -> bool:
    """True if the thing that ``key`` names belongs to the test split; the same on every machine."""
    return hashlib.sha256(key.encode()).digest()[0] < share * 256


def addition(rng: Random) -> tuple[str, Item]:
    """The sum of two numbers under forty, among three wrong ones close by."""
    a, b = rng.randrange(40), rng.randrange(40)
    wrong = [n for n in {a + b + d for d in (-11, -10, -9, -2, -1, 1, 2, 9, 10, 11)} if n >= 0]
    choices = [str(n) for n in [a + b, *rng.sample(sorted(wrong), 3)]]
    return f"add {a} {b}", _shuffled(rng, f"{a} + {b} =", choices)


def agreement(rng: Random) -> tuple[str, Item]:
    """A verb must agree with its subject across a noun of the other number."""
    animal, thing = rng.choice(lexicon.ANIMALS), rng.choice(lexicon.THINGS)
    place, (one, many) = rng.choice(lexicon.PREPOSITIONS), rng.choice(sorted(lexicon.SINGULAR_VERBS.items()))
    plural = rng.random() < 0.5
    text = f"The {_plural(animal) if plural else animal} {place} the {thing if plural else _plural(thing)}"
    return f"agree {animal} {thing} {plural}", Item(text, (one, many), int(plural))


def inference(rng: Random) -> tuple[str, Item]:
    """Does the second sentence follow from the first: is what was seen of the kind that is asked for?"""
    kinds = {"animal": lexicon.ANIMALS, "food": lexicon.FOODS, "tool": lexicon.TOOLS}
    seen, other = rng.sample(sorted(kinds), 2)
    noun, place, person = rng.choice(kinds[seen]), rng.choice(lexicon.THINGS), rng.choice(lexicon.PEOPLE)
    follows = rng.random() < 0.5
    asked = {"animal": "an animal", "food": "some food", "tool": "a tool"}[seen if follows else other]
    text = f"{person} saw the {noun} {rng.choice(lexicon.PREPOSITIONS)} the {place}. Did {person} see {asked}?"
    return f"infer {noun} {place}", Item(text, ("yes", "no"), int(not follows))


def sentiment(rng: Random) -> tuple[str, Item]:
    """Two remarks of one mood: positive or negative."""
    good = rng.random() < 0.5
    words = rng.sample(lexicon.GOOD_WORDS if good else lexicon.BAD_WORDS, 2)
    things = rng.sample(lexicon.REVIEWED, 2)
    text = f"Review: the {things[0]} was {words[0]} and the {things[1]} was {words[1]}. Opinion:"
    return f"opinion {words[0]} {words[1]}", Item(text, ("positive", "negative"), int(not good))


def copying(rng: Random) -> tuple[str, Item]:
    """A row of five unrelated words is said twice; what comes next the second time?"""
    pool = lexicon.ANIMALS + lexicon.THINGS + lexicon.COLOURS
    row = rng.sample(pool, 5)
    known = rng.randrange(1, 4)
    answer = row[known]
    wrong = rng.sample([word for word in row if word not in (answer, row[known - 1])], 3)
    text = f"Repeat: {' '.join(row)} ; {' '.join(row[:known])}"
    return f"copy {' '.join(row)}", _shuffled(rng, text, [answer, *wrong])


SKILLS: dict[str, Callable[[Random], tuple[str, Item]]] = {
    "addition": addition,
    "agreement": agreement,
    "inference": inference,
    "sentiment": sentiment,
    "copying": copying,
}


def training_sentence(skill: str, rng: Random) -> str:
    """A sentence of ``skill`` that is not in the test split."""
    while True:
        key, item = SKILLS[skill](rng)
        if not is_held_out(key):
            if skill == "copying":  # the whole row again, not only one word of it
                row = item.text.removeprefix("Repeat: ").split(" ; ")[0]
                return f"Repeat: {row} ; {row}."
            return item.sentence


def test_items(skill: str, count: int, rng: Random) -> list[Item]:
    """``count`` different items of the test split."""
    items: dict[str, Item] = {}
    while len(items) < count:
        key, item = SKILLS[skill](rng)
        if is_held_out(key):
            items.setdefault(item.text, item)
    return list(items.values())


def _plural(noun: str) -> str:
    if noun.endswith(("x", "ch", "sh", "s")):
        return noun + "es"
    return noun[:-1] + "ies" if noun.endswith("y") else noun + "s"


def _shuffled(rng: Random, text: str, choices: list[str]) -> Item:
    right = choices[0]
    rng.shuffle(choices)
    return Item(text, tuple(choices), choices.index(right))
