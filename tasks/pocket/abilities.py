"""Writes the pocket world's ability tasks for lm-eval into ``tasks/abilities``: items as JSON lines, one YAML each."""

from __future__ import annotations

from pathlib import Path

from palimpsest.tasks.choice_items import Item, item_files
from palimpsest.tasks.pocket.skills import SKILLS, test_items
from palimpsest.tasks.pocket.world import World

ITEMS = 200
"""Test items per task."""
FOLDER = Path(__file__).resolve().parent.parent / "abilities"

_DESCRIPTIONS = {
    "recall": "Facts about subjects that no request edits, in wordings that training never used for them",
    "addition": "Sums of two numbers below forty that training never showed",
    "agreement": "Subject and verb agree across a noun of the other number",
    "inference": "Does it follow from these two sentences? Yes or no",
    "sentiment": "Is this review positive or negative?",
    "copying": "Which word comes next when a row of words is repeated?",
}


def recall_items(world: World, count: int) -> list[Item]:
    """Facts of reserve subjects, each asked with its held-out wording, among three wrong objects of the class."""
    rng = world.stream("ability recall")
    items = []
    for fact in rng.sample(world.facts_of("reserve"), count):
        others = [name for name in world.objects[fact.relation.object_class] if name != fact.object]
        choices = [fact.object, *rng.sample(others, 3)]
        rng.shuffle(choices)
        text = fact.relation.statements[fact.held_out].format(fact.subject.name)
        items.append(Item(text, tuple(choices), choices.index(fact.object)))
    return items


def ability_items(world: World) -> dict[str, list[Item]]:
    """The test items of every ability."""
    items = {"recall": recall_items(world, ITEMS)}
    for skill in SKILLS:
        items[skill] = test_items(skill, ITEMS, world.stream(f"ability {skill}"))
    return items


def ability_files(world: World) -> dict[str, str]:
    """File name → content of everything generated in ``tasks/abilities``."""
    files: dict[str, str] = {}
    for ability, items in ability_items(world).items():
        task = f"pocket_{ability}"
        files |= item_files(task, items, f"utils.load_{task}", _DESCRIPTIONS[ability])
    return files


def write_ability_files(world: World, folder: Path = FOLDER) -> None:
    """Write `ability_files` into ``folder``; the shipped files are exactly these (tested)."""
    for name, content in ability_files(world).items():
        (folder / name).write_text(content, encoding="utf-8")
