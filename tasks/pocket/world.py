"""The pocket world itself: subjects, their roles, and every fact, drawn from one seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import cycle, islice
from random import Random
from typing import Literal

from palimpsest.tasks.pocket.lexicon import object_classes
from palimpsest.tasks.pocket.names import NameMaker
from palimpsest.tasks.pocket.relations import BY_NAME, Relation, of_kind

SEED = 20250
"""The seed of the world that the shipped models know."""

Role = Literal["edited", "tuning", "reserve"]

_SUBJECTS = {"person": 640, "place": 240, "work": 280, "company": 240}
_ROLE_SHARES: tuple[tuple[Role, float], ...] = (("edited", 0.55), ("tuning", 0.10), ("reserve", 0.35))
_WORK_OPENINGS = ("The Ballad of", "The Fall of", "A Song for", "The Road to", "Letters from", "The Last Days of")


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that facts are about."""

    name: str
    kind: str
    role: Role
    """``edited``: the benchmark may edit its facts; ``tuning``: only `palimpsest tune` may; ``reserve``: nobody."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One true statement of the world."""

    subject: Subject
    relation: Relation
    object: str
    held_out: int
    """Index of the one statement template in which the training text never says this fact."""


@dataclass(frozen=True)
class World:
    """All subjects, objects and facts."""

    seed: int
    objects: dict[str, tuple[str, ...]]
    subjects: tuple[Subject, ...]
    facts: tuple[Fact, ...]

    def facts_of(self, role: Role) -> tuple[Fact, ...]:
        """The facts whose subject has ``role``, in world order."""
        return tuple(fact for fact in self.facts if fact.subject.role == role)

    def stream(self, purpose: str) -> Random:
        """A generator of its own for each purpose, so that no use disturbs another."""
        return Random(f"palimpsest pocket world {self.seed}: {purpose}")


@cache
def build_world(seed: int = SEED) -> World:
    """The world of ``seed``; the same on every machine."""
    objects = object_classes(Random(f"palimpsest pocket world {seed}: objects"))
    world = World(seed, objects, _subjects(seed), ())
    return World(seed, objects, world.subjects, _facts(world))


def _subjects(seed: int) -> tuple[Subject, ...]:
    maker = NameMaker(Random(f"palimpsest pocket world {seed}: names"))
    rng = Random(f"palimpsest pocket world {seed}: subjects")
    given_names = [maker.word(1) for _ in range(80)]
    subjects = []
    for kind, count in _SUBJECTS.items():
        roles = [role for role, share in _ROLE_SHARES for _ in range(round(share * count))]
        for role in roles:
            if kind == "person":
                name = f"{rng.choice(given_names)} {maker.word(2)}"
            elif kind == "work":
                name = f"{rng.choice(_WORK_OPENINGS)} {maker.word(2)}"
            elif kind == "company":
                name = f"{maker.word(1)} {maker.word(2)}"
            else:
                name = maker.word(3)
            subjects.append(Subject(name, kind, role))
    rng.shuffle(subjects)
    return tuple(subjects)


def _facts(world: World) -> tuple[Fact, ...]:
    """Objects are dealt evenly within each role, so that every object has enough subjects that are never edited."""
    dealt: dict[tuple[str, str], str] = {}
    for role, _ in _ROLE_SHARES:
        for relation in BY_NAME.values():
            names = [s.name for s in world.subjects if s.role == role and s.kind == relation.subject_kind]
            values = list(islice(cycle(world.objects[relation.object_class]), len(names)))
            world.stream(f"deal {role} {relation.name}").shuffle(values)
            dealt.update({(name, relation.name): value for name, value in zip(names, values, strict=True)})
    rng = world.stream("held out templates")
    return tuple(
        Fact(subject, relation, dealt[subject.name, relation.name], rng.randrange(len(relation.statements)))
        for subject in world.subjects
        for relation in of_kind(subject.kind)
    )
