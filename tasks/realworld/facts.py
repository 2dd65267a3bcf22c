"""The facts of the real world, and the rule by which they were chosen.

The facts are triples of Wikidata, by way of T-REx (Elsahar et al. 2018) and of ParaRel (Elazar et al. 2021, MIT), of
which only subject, property and object are taken, no sentence. `chosen` leaves out what an edit cannot be judged by:

- a subject for which the property has several objects, so that there are several right answers;
- a name that is a person's in one property and a place's in another, so that nobody knows who is meant;
- a subject that names its own object ("Bank of Canada", Canada), which is no knowledge;
- an object that fewer than seven subjects of the property have, too few for a neighborhood.

    python -m palimpsest.tasks.realworld.facts facts.jsonl.gz

writes ``facts.tsv.gz`` anew from the file of ParaRel's triples.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_HERE = Path(__file__).resolve().parent
LEAST_SHARED = 7
"""Subjects that an object must have."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A property, and the sentences that say it."""

    name: str
    wikidata: str
    subject: str
    """Sort of its subjects."""
    object: str
    """Sort of its objects; they are exchanged for each other."""
    statements: tuple[str, ...]
    """Sentences up to the object: two with the subject at the start, two in the middle, two near the end."""
    questions: tuple[str, ...]
    generation: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """One true statement."""

    relation: str
    subject: str
    object: str


@cache
def relations() -> dict[str, Relation]:
    """Name → relation, in the order of the file."""
    table = tomllib.loads((_HERE / "relations.toml").read_text(encoding="utf-8"))
    return {
        name: Relation(
            name,
            row["wikidata"],
            row["subject"],
            row["object"],
            tuple(row["statements"]),
            tuple(row["questions"]),
            tuple(row["generation"]),
        )
        for name, row in table.items()
    }


@cache
def all_facts() -> tuple[Fact, ...]:
    """The chosen facts, sorted."""
    lines = gzip.decompress((_HERE / "facts.tsv.gz").read_bytes()).decode().splitlines()
    return tuple(Fact(*line.split("\t")) for line in lines)


def chosen(facts: Sequence[Fact]) -> list[Fact]:
    """The facts that an edit can be judged by, sorted; the rule is that of the module."""
    objects, sorts = defaultdict(set), defaultdict(set)
    for fact in facts:
        objects[fact.relation, fact.subject.casefold()].add(fact.object)
        sorts[fact.subject.casefold()].add(relations()[fact.relation].subject)
    clear = {
        fact
        for fact in facts
        if len(objects[fact.relation, fact.subject.casefold()]) == 1
        and not {"person", "place"} <= sorts[fact.subject.casefold()]
        and not _named(fact.object, fact.subject)
        and not _named(fact.subject, fact.object)
        and "\t" not in fact.subject + fact.object
    }
    shared = Counter((fact.relation, fact.object) for fact in clear)
    kept = [fact for fact in clear if shared[fact.relation, fact.object] >= LEAST_SHARED]
    return sorted(kept, key=lambda fact: (list(relations()).index(fact.relation), fact.subject, fact.object))


def _named(name: str, text: str) -> bool:
    """True if a name is in a text, as words."""
    return re.search(rf"(?<!\w){re.escape(name.casefold())}(?!\w)", text.casefold()) is not None


def _of_pararel(lines: Iterable[str]) -> list[Fact]:
    names = {relation.wikidata: relation.name for relation in relations().values()}
    rows = [json.loads(line) for line in lines]
    return [Fact(names[row["relation"]], row["subject"], row["object"]) for row in rows if row["relation"] in names]


def _main(path: str) -> None:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        facts = chosen(_of_pararel(lines))
    text = "".join(f"{fact.relation}\t{fact.subject}\t{fact.object}\n" for fact in facts)
    (_HERE / "facts.tsv.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{len(facts):,} facts of {len({fact.relation for fact in facts})} relations")


if __name__ == "__main__":
    _main(sys.argv[1])
