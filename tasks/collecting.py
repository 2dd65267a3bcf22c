"""From records to cases: every problem of a data set found together, and requests that contradict each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from palimpsest.harness.errors import ConfigError
from palimpsest.harness.specs.cases import Case, TaskForm
from palimpsest.tasks.fields import stripped
from palimpsest.tasks.records import RecordProblem, listed

_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Form:
    """Reader of the records of one kind of data."""

    name: TaskForm
    parse: Callable[[Any, int], Case]
    """(record, its place among all, from 0) → case; raises `RecordProblem`."""
    relation: Callable[[Any], str]
    """The property of its subject that a good record edits."""
    title: str = ""
    """Kind of records in messages; empty: the form's name."""


@dataclass(frozen=True, slots=True)
class Clash:
    """Several requests about the same relation of the same subject."""

    subject: str
    relation: str
    members: tuple[int, ...]
    """Places of the cases, ascending."""
    targets: int
    """Number of different new objects that they ask for; 1: they only repeat each other."""


@dataclass(frozen=True, slots=True)
class Collected:
    """The cases of a data set, and what was found on the way."""

    cases: tuple[Case, ...]
    places: tuple[str, ...]
    """Place of each case in its source, for messages."""
    records: int
    """Records read, bad ones included."""
    problems: tuple[str, ...]
    """Problems of the records that were left out."""
    clashes: tuple[Clash, ...]
    mended: int = 0
    """Good records in which a text began or ended with a space, which was taken off."""

    def consistent(self) -> Collected:
        """Without the cases that contradict another one: the same relation of the same subject, another new object."""
        out = {place for clash in self.clashes if clash.targets > 1 for place in clash.members}
        return self.ordered([place for place in range(len(self.cases)) if place not in out])

    def ordered(self, order: Sequence[int]) -> Collected:
        """The cases at these places, in this order; clashes of which none is among them are gone."""
        new = {old: place for place, old in enumerate(order)}
        moved = (
            replace(clash, members=tuple(sorted(new[place] for place in clash.members)))
            for clash in self.clashes
            if all(place in new for place in clash.members)
        )
        cases, places = tuple(self.cases[i] for i in order), tuple(self.places[i] for i in order)
        return replace(self, cases=cases, places=places, clashes=tuple(moved))


def collect(records: Iterable[tuple[str, Any]], form: Form, *, skip_bad: bool = False) -> Collected:
    """Read all records.

    Args:
        records: (where, record); a `RecordProblem` in place of a record that could not be read.
        form: How they are read.
        skip_bad: Leave bad records out.

    Raises:
        ConfigError: Some records are bad; lists them. Or none is left.
    """
    cases: list[Case] = []
    places: list[str] = []
    problems: list[str] = []
    seen: dict[int, str] = {}
    subjects: dict[tuple[str, str], list[int]] = {}
    mended = 0
    number = 0
    for number, (where, record) in enumerate(records, 1):
        try:
            if isinstance(record, RecordProblem):
                raise record
            clean = stripped(record)
            case = form.parse(clean, number - 1)
            relation = form.relation(clean)
            case_id = case.request.case_id
            if case_id in seen:
                raise RecordProblem(f"case_id: {case_id} was already used by {seen[case_id]}.")
        except RecordProblem as problem:
            problems.append(f"{where}: {problem}")
            continue
        seen[case_id] = where
        mended += clean != record
        subjects.setdefault((case.request.subject, relation), []).append(len(cases))
        cases.append(case)
        places.append(where)
    if problems and not skip_bad:
        advice = "Mend them, or leave them out with --skip-bad-records."
        if not cases:
            advice = f"Is this a file of {form.title or form.name} records? Their schema: docs/data.md"
        raise ConfigError(f"{listed(problems)}\n{counted(number, 'record')} read, {len(problems):,} bad. {advice}")
    if not cases:
        bad = f" that can be used:\n{listed(problems)}" if problems else "; at least one edit is needed."
        raise ConfigError(f"The data hold no record{bad}")
    return Collected(tuple(cases), tuple(places), number, tuple(problems), tuple(_clashes(subjects, cases)), mended)


def notes(found: Collected, name: str) -> Iterator[str]:
    """Notes for a person about the data of the task ``name``."""
    if found.problems:
        yield (
            f"{name}: {counted(len(found.problems), 'bad record')} of {found.records:,} left out:\n"
            f"{listed(found.problems)}"
        )
    if found.mended:
        records = counted(found.mended, "record")
        yield f"{name}: {records} with a space at the beginning or end of a text; it was taken off."
    for several, what in ((True, "contradict each other"), (False, "repeat each other")):
        clashes = [clash for clash in found.clashes if (clash.targets > 1) == several]
        if clashes:
            edits = sum(len(clash.members) for clash in clashes)
            examples = "; ".join(_example(clash, found) for clash in clashes[:_EXAMPLES])
            more = f"; and {len(clashes) - _EXAMPLES:,} more" if len(clashes) > _EXAMPLES else ""
            yield f"{name}: {edits:,} requests about {counted(len(clashes), 'fact')} {what}: {examples}{more}."


def counted(number: int, thing: str) -> str:
    """``1 fact``, ``1,200 facts``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _clashes(subjects: dict[tuple[str, str], list[int]], cases: list[Case]) -> Iterator[Clash]:
    for (subject, relation), members in subjects.items():
        if len(members) > 1:
            targets = {cases[place].request.target_new for place in members}
            yield Clash(subject, relation, tuple(members), len(targets))


def _example(clash: Clash, found: Collected) -> str:
    where = [found.places[place].rpartition(", ")[2] for place in clash.members]
    more = f" and {len(where) - _EXAMPLES} more" if len(where) > _EXAMPLES else ""
    return f"{clash.subject!r:.60}, {clash.relation!r:.40} ({', '.join(where[:_EXAMPLES])}{more})"
