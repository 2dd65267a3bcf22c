"""ZsRE question-answer records in the form of MEND (arXiv 2110.11309)."""

from __future__ import annotations

from typing import Any

from palimpsest.harness.specs.cases import Case, EditRequest, Probe
from palimpsest.tasks.collecting import Form
from palimpsest.tasks.fields import case_number, text_field, text_list, without_gaps
from palimpsest.tasks.records import RecordProblem

_LOCALITY_PREFIX = "nq question: "


def parse_case(record: Any, index: int) -> Case:
    """One record as a `Case`: question, one rephrasing, one locality question with its true answer.

    Raises:
        RecordProblem: Naming field, value and expectation.
    """
    subject, question = text_field(record, "subject"), without_gaps("src", text_field(record, "src"))
    if question.count(subject) != 1:
        raise RecordProblem(f"src: expected the subject {subject!r:.60} exactly once, got {question!r:.80}.")
    answers = text_list(record, "answers")
    if not answers:
        raise RecordProblem("answers: at least one answer is needed.")
    request = EditRequest(
        case_id=case_number(record, index),
        prompt=question.replace(subject, "{}"),
        subject=subject,
        target_new=answers[0],
        target_true=text_field(record, "pred", empty=True) if "pred" in record else "",
    )
    probes = (
        Probe("rewrite", 0, question, request.target_new, ""),
        Probe("paraphrase", 0, text_field(record, "rephrase"), request.target_new, ""),
        Probe("neighborhood", 0, locality_question(record), "", text_field(record, "loc_ans")),
    )
    return Case(request, probes)


def locality_question(record: Any) -> str:
    """The locality question of a record; the MEND file leaves its mark out, and the published protocol adds it."""
    question = text_field(record, "loc")
    unmarked = question.startswith(_LOCALITY_PREFIX) and not question.endswith("?")
    return question + "?" if unmarked else question


def relation(record: Any) -> str:
    """The property of the subject that is edited: the question around it."""
    return str(record["src"]).replace(record["subject"], "{}")


FORM = Form("zsre", parse_case, relation)
