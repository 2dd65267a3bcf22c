"""CounterFact and ZsRE with EasyEdit's questions on portability (arXiv 2305.13172) and CounterFact+'s distraction.

CounterFact records are those of ROME, joined with one or more of: ``portability`` (``New Question``, ``New Answer``),
``alternative_subject``, ``distracting_neighborhood_prompts`` (arXiv 2305.17553). ZsRE records are edited to ``alt``, as
their questions want it, and have at least one of ``portability``, ``alter_subject_question`` and ``inverse question``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from palimpsest.harness.specs.cases import Case, EditRequest, Probe
from palimpsest.tasks import counterfact, zsre
from palimpsest.tasks.collecting import Form
from palimpsest.tasks.fields import case_number, text_field, text_list, without_gaps
from palimpsest.tasks.records import RecordProblem


def parse_counterfact(record: Any, index: int) -> Case:
    """A CounterFact record with further probes as a `Case`.

    Raises:
        RecordProblem: Naming field, value and expectation.
    """
    case = counterfact.parse_case(record, index)
    request = case.request
    targets = (request.target_new, request.target_true)
    probes = _reasoning(record)
    if "alternative_subject" in record:
        other = without_gaps("alternative_subject", text_field(record, "alternative_subject"))
        probes.append(Probe("portability_alias", 0, request.prompt.replace("{}", other), *targets))
    prompts = text_list(record, "distracting_neighborhood_prompts", needed=False)
    probes += [Probe("distracting", i, prompt, *targets) for i, prompt in enumerate(prompts)]
    return replace(case, probes=(*case.probes, *_some(probes, "alternative_subject, distracting_neighborhood_prompts")))


def parse_zsre(record: Any, index: int) -> Case:
    """A ZsRE record with further probes as a `Case`.

    Raises:
        RecordProblem: Naming field, value and expectation.
    """
    subject, question = text_field(record, "subject"), without_gaps("src", text_field(record, "src"))
    if question.count(subject) != 1:
        raise RecordProblem(f"src: expected the subject {subject!r:.60} exactly once, got {question!r:.80}.")
    new, true = text_field(record, "alt"), text_list(record, "answers")
    if new in true:
        raise RecordProblem(f"alt: is one of the answers before the edit ({new!r:.80}).")
    request = EditRequest(case_number(record, index), question.replace(subject, "{}"), subject, new, "".join(true[:1]))
    probes = _reasoning(record)
    if "alter_subject_question" in record:
        probes.append(Probe("portability_alias", 0, text_field(record, "alter_subject_question"), new, ""))
    if "inverse question" in record:
        probes.append(Probe("portability_logic", 0, text_field(record, "inverse question"), subject, ""))
    basic = [Probe("rewrite", 0, question, new, ""), Probe("paraphrase", 0, text_field(record, "rephrase"), new, "")]
    if "loc" in record:
        basic.append(Probe("neighborhood", 0, zsre.locality_question(record), "", text_field(record, "loc_ans")))
    return Case(request, (*basic, *_some(probes, "alter_subject_question, inverse question")))


def _reasoning(record: Any) -> list[Probe]:
    if "portability" not in record:
        return []
    question, answer = (text_field(record, f"portability.New {part}") for part in ("Question", "Answer"))
    return [Probe("portability_reasoning", 0, question, answer, "")]


def _some(probes: Sequence[Probe], others: str) -> Sequence[Probe]:
    if not probes:
        raise RecordProblem(f"portability: is missing, and so are {others}: expected at least one of them.")
    return probes


COUNTERFACT = Form("counterfact", parse_counterfact, counterfact.relation, "CounterFact portability")
ZSRE = Form("zsre", parse_zsre, zsre.relation, "ZsRE portability")
