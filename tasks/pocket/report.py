"""Knowledge and abilities of a pocket model, as a table: the proof that there is something to edit and to lose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from palimpsest.harness.specs.cases import Case, EditRequest, Probe
from palimpsest.tasks.pocket.world import Fact, World

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel


@dataclass(frozen=True, slots=True)
class Line:
    """One measured property, in percent."""

    name: str
    asked: int
    percent: float
    chance: float | None = None


def knowledge(model: EditableModel, world: World, facts: Sequence[Fact]) -> list[Line]:
    """Share of ``facts`` whose object is the model's own next words (argmax), by kind of wording."""
    from palimpsest.harness.scoring.probes import score_cases

    hits: dict[str, list[bool]] = {"trained wordings": [], "held-out wordings": [], "questions": []}
    kinds = {}
    cases = []
    for number, fact in enumerate(facts):
        wordings = [*fact.relation.statements, *fact.relation.questions]
        probes = []
        for index, text in enumerate(wordings):
            is_question = index >= len(fact.relation.statements)
            name = "questions" if is_question else "held-out wordings" if index == fact.held_out else "trained wordings"
            kinds[number, index] = name
            probes.append(Probe("rewrite", index, text.format(fact.subject.name), "", fact.object))
        cases.append(Case(EditRequest(number, "{}", fact.subject.name, "", fact.object), tuple(probes)))
    for outcome in score_cases(model, cases):
        hits[kinds[outcome.case_id, outcome.index]].append(outcome.exact_true)
    return [Line(f"facts, {name}", len(values), 100 * sum(values) / len(values)) for name, values in hits.items()]


def edit_prompts(model: EditableModel, cases: Sequence[Case], name: str) -> list[Line]:
    """Share of rewrite prompts and of plain and prefixed paraphrases that the unedited model answers truly."""
    from palimpsest.harness.scoring.probes import score_cases

    groups: dict[str, list[bool]] = {"rewrite": [], "plain paraphrase": [], "prefixed paraphrase": []}
    for outcome in score_cases(model, cases):
        if outcome.kind == "rewrite":
            groups["rewrite"].append(outcome.exact_true)
        elif outcome.kind == "paraphrase":
            groups["plain paraphrase" if outcome.index < 2 else "prefixed paraphrase"].append(outcome.exact_true)
    return [Line(f"{name}, {kind}", len(v), 100 * sum(v) / len(v)) for kind, v in groups.items() if v]


def abilities(model: EditableModel) -> list[Line]:
    """Accuracy of every pocket ability beside chance."""
    from palimpsest.harness.abilities.ability_harness import AbilityHarness
    from palimpsest.tasks.ability_library import AbilityLibrary

    library = AbilityLibrary()
    outcomes = AbilityHarness(model, library.refs(["pocket"], None), library=library).evaluate()
    return [Line(o.name, len(o.items), 100 * o.score, 100 * o.chance) for o in outcomes]


def full_report(model: EditableModel, world: World) -> list[Line]:
    """Everything: knowledge of all facts, the edit tasks' own prompts, abilities."""
    from palimpsest.tasks.registry import load_task

    lines = knowledge(model, world, world.facts)
    lines += edit_prompts(model, load_task("pocket-counterfact").cases, "pocket-counterfact")
    return lines + abilities(model)


def as_markdown(lines: Sequence[Line]) -> str:
    """The report as a Markdown table."""
    rows = ["| what | asked | right % | chance % |", "| --- | ---: | ---: | ---: |"]
    rows += [
        f"| {line.name} | {line.asked} | {line.percent:.1f} | {'' if line.chance is None else f'{line.chance:.0f}'} |"
        for line in lines
    ]
    return "\n".join(rows)
