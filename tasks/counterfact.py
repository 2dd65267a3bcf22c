"""CounterFact records in the schema of ROME (arXiv 2202.05262)."""

from __future__ import annotations

from typing import Any

from palimpsest.harness.specs.cases import Case, EditRequest, Probe, ProbeKind
from palimpsest.tasks.collecting import Form
from palimpsest.tasks.fields import case_number, text_field, text_list, without_gaps
from palimpsest.tasks.records import RecordProblem

_PROBE_FIELDS: tuple[tuple[ProbeKind, str, bool], ...] = (
    ("paraphrase", "paraphrase_prompts", True),
    ("neighborhood", "neighborhood_prompts", True),
    ("attribute", "attribute_prompts", False),
    ("generation", "generation_prompts", False),
)
"""Kind of probe, field, and whether a record must have the field."""


def parse_case(record: Any, index: int) -> Case:
    """One record as a `Case`.

    Args:
        record: The decoded JSON object.
        index: Place in the file; the case id where the record names none.

    Raises:
        RecordProblem: Naming field, value and expectation.
    """
    prompt = text_field(record, "requested_rewrite.prompt")
    if prompt.count("{}") != 1:
        raise RecordProblem(f"requested_rewrite.prompt: expected exactly one {{}} for the subject, got {prompt!r:.80}.")
    without_gaps("requested_rewrite.prompt", prompt.replace("{}", ""))
    request = EditRequest(
        case_id=case_number(record, index),
        prompt=prompt,
        subject=without_gaps("requested_rewrite.subject", text_field(record, "requested_rewrite.subject")),
        target_new=text_field(record, "requested_rewrite.target_new.str"),
        target_true=text_field(record, "requested_rewrite.target_true.str"),
    )
    if request.target_new == request.target_true:
        raise RecordProblem(f"requested_rewrite.target_new.str: equals target_true ({request.target_new!r:.80}).")
    rewrite = prompt.replace("{}", request.subject)
    probes = [Probe("rewrite", 0, rewrite, request.target_new, request.target_true)]
    for kind, field, needed in _PROBE_FIELDS:
        for i, text in enumerate(text_list(record, field, needed=needed)):
            targets = ("", "") if kind == "generation" else (request.target_new, request.target_true)
            probes.append(Probe(kind, i, text, *targets))
    return Case(request, tuple(probes))


def relation(record: Any) -> str:
    """The property of the subject that is edited: Wikidata's relation, or the prompt where the record names none."""
    field = "requested_rewrite.relation_id"
    named = "relation_id" in record["requested_rewrite"]
    return text_field(record, field if named else "requested_rewrite.prompt")


FORM = Form("counterfact", parse_case, relation)
