"""Specificity as the code of DeltaEdit and of EasyEdit has it, and texts as published fluency reads them.

Each is recomputed here by one plain forward pass per prompt, as that code does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from palimpsest.harness.metrics.probes import Outcomes, ProbeOutcome, aggregate, case_table
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.scoring.generation import Continuation, continuations, sample_texts
from palimpsest.harness.scoring.probes import score_cases
from palimpsest.harness.specs.cases import Case, EditRequest, Probe
from palimpsest.harness.specs.run_spec import Generation
from palimpsest.results.analysis.measures.texts import fluency, normalised
from tests.labs.tiny_models import tiny_model

PUBLISHED = ("neighborhood_top_deltaedit", "neighborhood_top_preference_deltaedit", "locality_easyedit")


def cases() -> list[Case]:
    """Two cases with true targets of one token and of many."""
    near = ["Anna Sorel lives in", "The birthplace of Petr Novak is", "In which city does Zoë Müller live? In"]
    made = []
    for i, (new, true) in enumerate((("Brno", "Kraków by the river"), ("the violin", "Lyon"))):
        probes = [Probe("rewrite", 0, "Marie Duval lives in", new, true)]
        probes += [Probe("neighborhood", j, prompt, new, true) for j, prompt in enumerate(near)]
        probes += [Probe("generation", 0, "Marie Duval lives in", "", "")]
        made.append(Case(EditRequest(10 + i, "{} lives in", "Marie Duval", new, true), tuple(probes)))
    question = Probe("neighborhood", 3, "who plays chess?", "", "Petr Novak")
    return [made[0], replace(made[1], probes=(*made[1].probes, question))]


def edited(model: EditableModel, size: float = 0.35) -> EditableModel:
    """The model with other down-projections."""
    torch.manual_seed(5)
    for layer in (1, 2):
        model.add_update(layer, size * torch.randn(model.weight(layer).shape) * model.weight(layer).std())
    return model


def logits_at(model: EditableModel, prompt: str, target: str) -> tuple[torch.Tensor, list[int]]:
    """Logits at the places of the target's tokens, and these tokens: the text is read as a whole."""
    before = model.tokenizer(prompt)["input_ids"]
    whole = model.tokenizer(f"{prompt} {target}")["input_ids"]
    with torch.no_grad():
        logits = model.model(input_ids=torch.tensor([whole])).logits[0]
    return logits[len(before) - 1 : -1].double(), whole[len(before) :]


def greedily(model: EditableModel, prompt: str, count: int) -> list[int]:
    ids = list(model.tokenizer(prompt)["input_ids"])
    for _ in range(count):
        with torch.no_grad():
            ids.append(int(model.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[-count:]


def nll(logits: torch.Tensor, tokens: list[int]) -> float:
    return float(-logits.log_softmax(-1)[range(len(tokens)), tokens].mean())


def before_and_after(architecture: str) -> tuple[list[Continuation], list[ProbeOutcome], dict[Any, Any], Any]:
    """Words of the unedited model, outcomes of the edited one, what plain code finds, and the edited model."""
    model = tiny_model(architecture, bos=architecture != "gpt2")
    said = continuations(model, cases(), first_choices=True)
    plain: dict[Any, Any] = {}
    asked = [(c.request.case_id, p) for c in cases() for p in c.probes if p.kind == "neighborhood"]
    for case_id, p in asked:
        logits, tokens = logits_at(model, p.prompt, p.target_true)
        plain[case_id, p.index] = (greedily(model, p.prompt, len(tokens)), logits.argmax(-1).tolist())
    edited(model)
    tokens_of = {(one.case_id, one.index): one.tokens for one in said}
    choices_of = {(one.case_id, one.index): one.first_choices for one in said}
    outcomes = score_cases(model, cases(), continuations=tokens_of, first_choices=choices_of)
    return said, outcomes, plain, model


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "mistral"])
def test_published_specificity_is_that_of_plain_code_prompt_by_prompt(architecture: str) -> None:
    said, outcomes, plain, model = before_and_after(architecture)
    assert {(o.case_id, o.index): (list(o.tokens), list(o.first_choices)) for o in said} == plain
    assert any(list(o.tokens) != list(o.first_choices) for o in said), "the two forms are never told apart"
    probes = {(c.request.case_id, p.kind, p.index): p for c in cases() for p in c.probes}
    values: dict[str, dict[int, list[float]]] = {name: {} for name in PUBLISHED}
    for o in outcomes:
        if o.kind != "neighborhood":
            assert (o.tokens_fed, o.hits_fed, o.hits_first) == (0, 0, 0) and np.isnan(o.nll_fed)
            continue
        probe = probes[o.case_id, o.kind, o.index]
        continuation, choices = plain[o.case_id, o.index]
        logits, tokens = logits_at(model, probe.prompt, probe.target_true)
        first = logits.argmax(-1).tolist()
        same = [a == b for a, b in zip(first, continuation, strict=True)]
        assert (o.tokens_fed, o.hits_fed) == (len(tokens), sum(same))
        assert o.hits_first == sum(a == b for a, b in zip(first, choices, strict=True))
        assert o.nll_fed == pytest.approx(nll(logits, continuation), rel=2e-4)
        values[PUBLISHED[0]].setdefault(o.case_id, []).append(100.0 * all(same))
        values[PUBLISHED[2]].setdefault(o.case_id, []).append(100 * float(np.mean(np.equal(first, choices))))
        if probe.target_new:
            against = nll(*logits_at(model, probe.prompt, probe.target_new))
            values[PUBLISHED[1]].setdefault(o.case_id, []).append(100.0 * (nll(logits, continuation) < against))
    found = aggregate(case_table(Outcomes.from_records(outcomes), "counterfact"))
    for name in PUBLISHED:
        assert found[name] == pytest.approx(np.mean([np.mean(of_case) for of_case in values[name].values()])), name
    assert found["locality_easyedit"] < 100


def test_the_unedited_model_has_all_of_easyedits_locality_and_not_all_of_deltaedits_top() -> None:
    """It goes on otherwise behind its own words than behind the true target's: DeltaEdit's form mixes the two."""
    model = tiny_model("llama")
    said = continuations(model, cases(), first_choices=True)
    words: list[Mapping[Any, Any]] = [{}, {}]
    for one in said:
        words[0][one.case_id, one.index], words[1][one.case_id, one.index] = one.tokens, one.first_choices  # type: ignore[index]
    outcomes = score_cases(model, cases(), continuations=words[0], first_choices=words[1])
    found = aggregate(case_table(Outcomes.from_records(outcomes), "counterfact"))
    assert found["locality_easyedit"] == found["neighborhood_top"] == 100
    assert found["neighborhood_top_deltaedit"] < 100


def test_what_is_not_asked_for_leaves_no_trace() -> None:
    model = tiny_model("llama")
    plain, asked = continuations(model, cases()), continuations(model, cases(), first_choices=True)
    assert [replace(one, first_choices=()) for one in asked] == plain
    assert not any(one.first_choices for one in plain)
    words = {(one.case_id, one.index): one.tokens for one in plain}
    found = aggregate(
        case_table(Outcomes.from_records(score_cases(model, cases(), continuations=words)), "counterfact")
    )
    assert "neighborhood_top" in found and not set(PUBLISHED) & set(found)


def test_a_broken_model_has_none_of_it() -> None:
    model = tiny_model("llama")
    said = continuations(model, cases(), first_choices=True)
    tokens, choices = ({(o.case_id, o.index): getattr(o, n) for o in said} for n in ("tokens", "first_choices"))
    model.weight(3)[:] = float("nan")
    outcomes = score_cases(model, cases(), continuations=tokens, first_choices=choices)
    found = aggregate(case_table(Outcomes.from_records(outcomes), "counterfact"))
    assert [found[name] for name in PUBLISHED] == [0, 0, 0]


@pytest.mark.parametrize("bos", [True, False])
def test_texts_are_spelt_as_published_code_reads_them(bos: bool) -> None:
    """That code decodes prompt and text together, and takes out nothing but ``<|endoftext|>``."""
    model = tiny_model("llama", bos=bos)
    settings = Generation(cases=2, tokens=30)
    plain = sample_texts(model, cases(), settings)
    spelt = sample_texts(model, cases(), settings.model_copy(update={"special_tokens": True}))
    assert [replace(one, spelt="") for one in spelt] == plain and not any(one.spelt for one in plain)
    for one in spelt:
        assert one.spelt.startswith("<s>Marie Duval lives in" if bos else "Marie Duval lives in")
        without = one.spelt.replace("<s>", "").replace("</s>", "")
        assert normalised(without) == normalised("Marie Duval lives in" + one.text)
        assert (fluency([one.spelt]) > fluency([without])) == ("<s>" in one.spelt or "</s>" in one.spelt)
