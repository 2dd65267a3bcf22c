"""CounterFact records in the schema of ROME (arXiv 2202.05262) as an `EditTask`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from palimpsest.harness.requests import Case, EditRequest, EditTask, Probe, ProbeKind
from palimpsest.tasks.records import RecordProblem, case_number, parse_all, read_records, text_field, text_list

_PROBE_FIELDS: tuple[tuple[ProbeKind, str], ...] = (
    ("paraphrase", "paraphrase_prompts"),
    ("neighborhood", "neighborhood_prompts"),
    ("attribute", "attribute_prompts"),
    ("generation", "generation_prompts"),
)


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
    request = EditRequest(
        case_id=case_number(record, index),
        prompt=prompt,
        subject=text_field(record, "requested_rewrite.subject"),
        target_new=text_field(record, "requested_rewrite.target_new.str").strip(),
        target_true=text_field(record, "requested_rewrite.target_true.str").strip(),
    )
    if request.target_new == request.target_true:
        raise RecordProblem(f"requested_rewrite.target_new.str: equals target_true ({request.target_new!r}).")
    rewrite = prompt.replace("{}", request.subject)
    probes = [Probe("rewrite", 0, rewrite, request.target_new, request.target_true)]
    for kind, field in _PROBE_FIELDS:
        for i, text in enumerate(text_list(record, field)):
            targets = ("", "") if kind == "generation" else (request.target_new, request.target_true)
            probes.append(Probe(kind, i, text.rstrip(), *targets))
    return Case(request, tuple(probes))


def load_counterfact(path: Path, name: str) -> EditTask:
    """The task in ``path``, in file order; all bad records are reported together."""
    return EditTask(name, "counterfact", parse_all(read_records(path), parse_case))
