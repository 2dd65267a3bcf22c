"""Items of ability tasks in plain English, in sentences of our own, drawn from one seed.

    python -m palimpsest.tasks.plain.items

writes them anew into ``tasks/abilities/plain``, one JSON line each and a YAML file for each task.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from palimpsest.harness.system.atomic_files import atomic_write_text
from palimpsest.tasks.choice_items import Item, item_files

SEED = 2026
ITEMS = 200
"""Items of each task."""
FOLDER = Path(__file__).resolve().parent.parent / "abilities" / "plain"


@cache
def words() -> Mapping[str, Any]:
    """The tables of ``words.toml``."""
    return tomllib.loads((Path(__file__).parent / "words.toml").read_text(encoding="utf-8"))


class Drawn(NamedTuple):
    """A question whose choices have no order yet."""

    text: str
    right: str
    wrong: Sequence[str]

    def item(self, place: int, rng: Random) -> Item:
        """The question with its right choice at a place, and the others in any order."""
        others = rng.sample(self.wrong, len(self.wrong))
        return Item(self.text, (*others[:place], self.right, *others[place:]), place)


def agreement(rng: Random) -> Drawn:
    """A form that fits what stands before it, with something of the other number or sex between."""
    return rng.choice((_verb, _number, _reflexive))(rng)


def _verb(rng: Random) -> Drawn:
    subject, other = rng.sample(words()["nouns"], 2)
    verb = rng.choice(words()["verbs"])
    several = rng.randrange(2)
    between = rng.choice(["behind the {}", "next to the {}", "that belonged to the {}", "in front of the {}"])
    text = f"The {subject[several]} {between.format(other[1 - several])}"
    return Drawn(text, verb[several], [verb[1 - several]])


def _number(rng: Random) -> Drawn:
    noun = rng.choice(words()["nouns"])
    several = rng.randrange(2)
    before = rng.choice([("I have seen only one", "I have seen only two"), ("She bought this", "She bought these"),
                         ("There was just a single", "There were just a few")])  # fmt: skip
    return Drawn(before[several], noun[several], [noun[1 - several]])


def _reflexive(rng: Random) -> Drawn:
    kind = rng.randrange(2)
    who, other = rng.choice(words()[("women", "men")[kind]]), rng.choice(words()[("men", "women")[kind]])
    said = rng.choice(["saw in the mirror only", "bought a present for", "was very proud of", "talked to"])
    text = f"The {who} who knew the {other} {said}"
    return Drawn(text, ("herself", "himself")[kind], [("himself", "herself")[kind]])


def copying(rng: Random) -> Drawn:
    """The next thing of a list that is said again: who brings what."""
    count = 4
    who, things = rng.sample(words()["names"], count), rng.sample(words()["things"], count)
    brought = [f"{name} brings a {thing}" for name, thing in zip(who, things, strict=True)]
    asked = rng.randrange(count)
    again = ", ".join([*brought[:asked], f"{who[asked]} brings a"])
    others = [thing for thing in things if thing != things[asked]]
    return Drawn(f"The list: {', '.join(brought)}. Once more: {again}", things[asked], others)


def sequences(rng: Random) -> Drawn:
    """The next of a row that everybody knows, or of numbers with one step."""
    if rng.randrange(3) == 0:
        step = rng.choice([1, 2, 5, 10])
        start = step * rng.randrange(1, 12)
        *numbers, last = [start + step * place for place in range(5)]
        wrong = [str(last + away) for away in rng.sample([-step, step, 3 * step, step + 1], 3)]
        return Drawn(", ".join(map(str, numbers)) + ",", str(last), wrong)
    row = rng.choice(words()["rows"])
    first = rng.randrange(len(row) - 3)
    shown, right = row[first : first + 3], row[first + 3]
    wrong = rng.sample([one for one in row if one not in (*shown, right)], 2)
    return Drawn(", ".join(shown) + ",", right, [*wrong, rng.choice(shown)])


def opposites(rng: Random) -> Drawn:
    """The opposite of a word, behind three examples."""
    pairs = rng.sample(words()["opposites"], 4)
    *examples, (asked, right) = [pair if rng.randrange(2) else pair[::-1] for pair in pairs]
    said = {word for pair in words()["opposites"] if {asked, right} & set(pair) for word in pair}
    others = sorted({word for pair in words()["opposites"] for word in pair} - said - {w for p in examples for w in p})
    text = "".join(f"The opposite of {one} is {other}. " for one, other in examples)
    return Drawn(f"{text}The opposite of {asked} is", right, rng.sample(others, 3))


def kinds(rng: Random) -> Drawn:
    """The kind of a thing."""
    table: Mapping[str, Sequence[str]] = words()["kinds"]
    kind = rng.choice(list(table))
    member = rng.choice(table[kind])
    wrong = rng.sample([one for one in table if one != kind], 3)
    article = "" if kind in ("sport", "metal") else "an " if member[0] in "aeiou" else "a "
    text = f"Everybody knows that {article}{member} is a kind of"
    return Drawn(text, kind, wrong)


def sense(rng: Random) -> Drawn:
    """The one thing that fits, and three that do not."""
    groups = rng.sample(words()["sense"], 4)
    stem = rng.choice(groups[0]["stems"])
    fitting = [group["answer"] for group in groups]
    return Drawn(stem.format(rng.choice(words()["names"])), fitting[0], fitting[1:])


TASKS: Mapping[str, tuple[Callable[[Random], Drawn], str]] = {
    "plain_agreement": (agreement, "Verbs, numbers and reflexives that agree across other words"),
    "plain_copying": (copying, "What comes next where a list is said again?"),
    "plain_kinds": (kinds, "Of what kind is a common thing?"),
    "plain_opposites": (opposites, "The opposite of a word, behind three examples"),
    "plain_sense": (sense, "Which of four things fits what happens?"),
    "plain_sequences": (sequences, "The next of a row, of days, numbers or letters"),
}


def task_items(task: str) -> list[Item]:
    """The items of a task, no question twice; the right choice stands at each place equally often."""
    draw, _ = TASKS[task]
    rng = Random(f"palimpsest plain English {SEED}: {task}")
    found: dict[tuple[str, frozenset[str]], Drawn] = {}
    while len(found) < ITEMS:
        one = draw(rng)
        found.setdefault((one.text, frozenset((one.right, *one.wrong))), one)
    return [one.item(number % (len(one.wrong) + 1), rng) for number, one in enumerate(found.values())]


def task_files() -> dict[str, str]:
    """File name → content of all that is written."""
    return {
        name: content
        for task, (_, description) in TASKS.items()
        for name, content in item_files(task, task_items(task), "plain.load", description, f"  items: {task}\n").items()
    }


if __name__ == "__main__":
    for name, content in task_files().items():
        atomic_write_text(FOLDER / name, content)
