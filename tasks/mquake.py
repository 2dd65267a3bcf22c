"""MQuAKE records (arXiv 2305.14795): an edit, and questions that follow from it by several hops.

    {"case_id", "requested_rewrite": [one edit as in CounterFact, with "question"], "questions": ["…"],
     "new_answer": "…", "new_answer_alias": ["…"]}

A record with several edits is no case: cases are edited one by one, in an order that a seed may choose, and its
questions have their new answer only once all of its edits are made.
"""

from __future__ import annotations

from typing import Any

from palimpsest.harness.specs.cases import Case, EditRequest, Probe
from palimpsest.tasks.collecting import Form
from palimpsest.tasks.fields import case_number, text_field, text_list, without_gaps
from palimpsest.tasks.records import RecordProblem


def parse_case(record: Any, index: int) -> Case:
    """One record as a `Case`; the edit as a question is its paraphrase.

    Raises:
        RecordProblem: Naming field, value and expectation.
    """
    edits = record.get("requested_rewrite") if isinstance(record, dict) else None
    if not isinstance(edits, list) or len(edits) != 1:
        found = f"{len(edits)} of them" if isinstance(edits, list) else f"{edits!r:.80}"
        raise RecordProblem(f"requested_rewrite: expected a list of one edit, got {found}.")
    (edit,) = edits
    prompt = text_field(edit, "prompt")
    if prompt.count("{}") != 1:
        raise RecordProblem(f"requested_rewrite.prompt: expected exactly one {{}} for the subject, got {prompt!r:.80}.")
    request = EditRequest(
        case_id=case_number(record, index),
        prompt=prompt,
        subject=without_gaps("requested_rewrite.subject", text_field(edit, "subject")),
        target_new=text_field(edit, "target_new.str"),
        target_true=text_field(edit, "target_true.str"),
    )
    targets = (request.target_new, request.target_true)
    if request.target_new == request.target_true:
        raise RecordProblem(f"requested_rewrite.target_new.str: equals target_true ({request.target_new!r:.80}).")
    questions = text_list(record, "questions")
    if not questions:
        raise RecordProblem("questions: at least one question is needed.")
    answers = dict.fromkeys((text_field(record, "new_answer"), *text_list(record, "new_answer_alias", needed=False)))
    pairs = [(question, answer) for question in questions for answer in answers]
    probes = (
        Probe("rewrite", 0, prompt.replace("{}", request.subject), *targets),
        Probe("paraphrase", 0, text_field(edit, "question"), *targets),
        *(Probe("multi_hop", i, question, answer, "") for i, (question, answer) in enumerate(pairs)),
    )
    return Case(request, probes)


def relation(record: Any) -> str:
    """The property of the subject that is edited: Wikidata's relation, or the prompt where the record names none."""
    (edit,) = record["requested_rewrite"]
    return text_field(edit, "relation_id" if "relation_id" in edit else "prompt")


FORM = Form("counterfact", parse_case, relation, "MQuAKE")
