"""KnowEdit records in EasyEdit's form (arXiv 2401.01286): an edit with questions on portability and locality.

    {"subject", "prompt" (the subject in it), "target_new", "ground_truth", "rephrase_prompt",
     "portability": {"Reasoning" | "Subject_Aliasing" | "Logical_Generalization": [{"prompt", "ground_truth"}]},
     "locality": {any name: [{"prompt", "ground_truth"}]}}

``ground_truth``, ``rephrase_prompt``, ``portability`` and ``locality`` may be absent; a ``ground_truth`` is a text, a
list of them, or a list of such lists (answers, each under several names, as in WikiData_recent), of which any is right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from palimpsest.harness.specs.cases import Case, EditRequest, FurtherKind, Probe
from palimpsest.tasks.collecting import Form
from palimpsest.tasks.fields import case_number, text_field, text_list, without_gaps
from palimpsest.tasks.records import RecordProblem

_PORTABILITY: Mapping[str, FurtherKind] = {
    "Reasoning": "portability_reasoning",
    "Subject_Aliasing": "portability_alias",
    "Logical_Generalization": "portability_logic",
}


def parse_case(record: Any, index: int) -> Case:
    """One record as a `Case`.

    Raises:
        RecordProblem: Naming field, value and expectation.
    """
    subject, prompt = text_field(record, "subject"), without_gaps("prompt", text_field(record, "prompt"))
    if prompt.count(subject) != 1:
        raise RecordProblem(f"prompt: expected the subject {subject!r:.60} exactly once, got {prompt!r:.80}.")
    new, true = text_field(record, "target_new"), _answers(record, "ground_truth") if "ground_truth" in record else ()
    if new in true:
        raise RecordProblem(f"target_new: is what was true before ({new!r:.80}).")
    request = EditRequest(
        case_number(record, index), prompt.replace(subject, "{}"), subject, new, true[0] if true else ""
    )
    probes = [Probe("rewrite", 0, prompt, new, "")]
    if "rephrase_prompt" in record:
        probes.append(Probe("paraphrase", 0, text_field(record, "rephrase_prompt"), new, ""))
    asked = [one for _, questions in _questions(record, "locality") for one in questions]
    probes += [Probe("neighborhood", i, question, "", answers[0]) for i, (question, answers) in enumerate(asked)]
    for name, questions in _questions(record, "portability"):
        if name not in _PORTABILITY:
            raise RecordProblem(f"portability: expected only {', '.join(_PORTABILITY)}, got {name!r:.80}.")
        pairs = [(question, answer) for question, answers in questions for answer in answers]
        probes += [Probe(_PORTABILITY[name], i, question, answer, "") for i, (question, answer) in enumerate(pairs)]
    return Case(request, tuple(probes))


def _questions(record: Any, field: str) -> Iterator[tuple[str, list[tuple[str, tuple[str, ...]]]]]:
    """Each name below ``field`` with its questions, and the answers to them that are right."""
    groups = record.get(field, {})
    if not isinstance(groups, Mapping) or not all(isinstance(entries, list) for entries in groups.values()):
        raise RecordProblem(f"{field}: expected an object of lists, got {groups!r:.80}.")
    for name, entries in groups.items():
        yield name, [(text_field(entry, "prompt"), _answers(entry, "ground_truth")) for entry in entries]


def _answers(record: Any, field: str) -> tuple[str, ...]:
    """One answer, or a list of at least one, perhaps in lists of names; each once."""
    if isinstance(record, Mapping) and isinstance(record.get(field), list):
        flat = [name for one in record[field] for name in (one if isinstance(one, list) else [one])]
        several = tuple(dict.fromkeys(answer.strip() for answer in text_list({field: flat}, field)))
        if not several:
            raise RecordProblem(f"{field}: at least one answer is needed.")
        return several
    return (text_field(record, field),)


def relation(record: Any) -> str:
    """The property of the subject that is edited: the prompt around it."""
    return str(record["prompt"]).replace(record["subject"], "{}")


FORM = Form("zsre", parse_case, relation, "KnowEdit")
