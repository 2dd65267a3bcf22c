"""The order of edits: early ones never share a subject."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import TypeVar

Fact = TypeVar("Fact")


def in_rounds(facts: Iterable[Fact], subject: Callable[[Fact], str], rng: Random) -> Iterator[Fact]:
    """Facts in random order, each subject once per round: the second facts of all come after the first ones of all."""
    by_subject: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        by_subject[subject(fact)].append(fact)
    for found in by_subject.values():
        rng.shuffle(found)
    for number in range(max(map(len, by_subject.values()))):
        this_round = [found[number] for found in by_subject.values() if number < len(found)]
        rng.shuffle(this_round)
        yield from this_round
