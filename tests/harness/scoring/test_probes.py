from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from palimpsest.harness.errors import ConfigError
from palimpsest.harness.metrics.probes import Outcomes, ProbeOutcome, aggregate, case_table
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.model.loading import load_model
from palimpsest.harness.scoring import packing
from palimpsest.harness.scoring.generation import continuations
from palimpsest.harness.scoring.packing import make_packs, score_targets
from palimpsest.harness.scoring.probes import sample_answers, score_cases
from palimpsest.harness.specs.cases import Case, EditRequest, Probe
from palimpsest.harness.specs.run_spec import Generation, Scoring
from palimpsest.harness.specs.windows import WINDOWS, choose_generated, choose_windows, ever_scored, window_size
from palimpsest.tasks.zsre import parse_case
from tests.labs.tiny_models import ARCHITECTURES, VARIANTS, tiny_model

GOLDEN = Path(__file__).parents[2] / "golden"


def one_at_a_time(model: EditableModel, prompt: str, target: str) -> tuple[float, int, int]:
    """NLL per token, hits, tokens of one target by one plain forward pass."""
    before = model.tokenizer(prompt)["input_ids"]
    after = model.tokenizer(" " + target, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = model.model(input_ids=torch.tensor([before + after])).logits[0, len(before) - 1 : -1]
    log_prob = logits.double().log_softmax(-1)[range(len(after)), after]
    return -float(log_prob.mean()), int((logits.argmax(-1) == torch.tensor(after)).sum()), len(after)


def cases() -> list[Case]:
    people = ["Anna Sorel", "Petr Novak", "Zoë Müller", "Marie Duval"]
    objects = ["Brno", "Lyon", "Kraków by the river", "chess", "the violin"]
    result = []
    for i, person in enumerate(people):
        new, true = objects[i], objects[i + 1]
        probes = [Probe("rewrite", 0, f"{person} lives in", new, true)]
        probes += [Probe("paraphrase", 0, f"Therefore it was late. The birthplace of {person} is", new, true)]
        probes += [Probe("neighborhood", j, f"{other} lives in", new, true) for j, other in enumerate(people)]
        probes += [Probe("neighborhood", 9, f"In which city does {person} live?", "", true)]
        probes += [Probe("generation", 0, f"{person} is", "", ""), Probe("attribute", 0, f"{person} is", new, true)]
        result.append(Case(EditRequest(10 + i, "{} lives in", person, new, true), tuple(probes)))
    return result


@pytest.mark.parametrize("bos", [True, False])
@pytest.mark.parametrize("name", [*ARCHITECTURES, *VARIANTS])
def test_equals_one_sequence_at_a_time(name: str, bos: bool) -> None:
    architecture, changes = VARIANTS.get(name, (name, {}))
    model = tiny_model(architecture, bos=bos, **changes)
    outcomes = score_cases(model, cases())
    probes = [(c.request.case_id, p) for c in cases() for p in c.probes if p.kind not in ("generation", "attribute")]
    assert [(o.case_id, o.kind, o.index) for o in outcomes] == [(i, p.kind, p.index) for i, p in probes]
    for outcome, (_, probe) in zip(outcomes, probes, strict=True):
        for side, target in (("new", probe.target_new), ("true", probe.target_true)):
            got = [getattr(outcome, f"{name}_{side}") for name in ("nll", "hits", "tokens", "exact")]
            if not target:
                assert np.isnan(got[0]) and got[1:] == [0, 0, False]
                continue
            nll, hits, tokens = one_at_a_time(model, probe.prompt, target)
            assert got[0] == pytest.approx(nll, rel=2e-4, abs=2e-5)
            assert got[1:] == [hits, tokens, hits == tokens]


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gptj", "gpt_neox", "qwen3"])
def test_trees_are_used_where_the_model_takes_them(architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_plain_logits", _only_for_the_trial(packing._plain_logits))
    score_cases(tiny_model(architecture), cases())


def _only_for_the_trial(plain: Any) -> Any:
    def guarded(model: Any, batch: list[Any], width: int) -> Any:
        assert len(batch) == 2, "scored in plain rows"
        return plain(model, batch, width)

    return guarded


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_the_last_mlp_runs_where_it_is_read(architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As nobody asks for the rest; and the scores are those of whole passes."""
    model = tiny_model(architecture)
    sizes: list[int] = []
    mlp = model.module(model.anatomy.block(model.anatomy.n_layers - 1) + ".mlp")
    inner = type(mlp).forward
    monkeypatch.setattr(type(mlp), "forward", lambda self, x: (sizes.append(x.ndim), inner(self, x))[1])
    short = [(o.nll_new, o.nll_true) for o in score_cases(model, cases())]
    assert 2 in sizes
    monkeypatch.setattr(packing, "is_bare", lambda _: False)
    sizes.clear()
    np.testing.assert_allclose(short, [(o.nll_new, o.nll_true) for o in score_cases(model, cases())], rtol=1e-4)
    assert 2 not in sizes


@pytest.mark.parametrize("part", ["", ".mlp", ".mlp.down_proj"])
def test_a_hook_on_the_last_block_sees_every_position(part: str) -> None:
    """An editor with a memory adds to what it finds; it may look at the whole of the hidden states."""
    model = tiny_model("llama")
    last = model.module(model.anatomy.block(model.anatomy.n_layers - 1) + part)

    def shifted(_: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        assert output.ndim == 3 and bool(output.norm(dim=-1).all()), "a position is missing"
        return output + 0.5

    before = [o.nll_new for o in score_cases(model, cases())]
    handle = last.register_forward_hook(shifted)
    hooked = score_cases(model, cases())
    expected = [one_at_a_time(model, p.prompt, p.target_new)[0] for c in cases() for p in c.probes[:1]]
    handle.remove()
    assert [o.nll_new for o in hooked if o.kind == "rewrite"] == pytest.approx(expected, rel=2e-4)
    assert hooked[0].nll_new != pytest.approx(before[0], rel=1e-3)
    assert [o.nll_new for o in score_cases(model, cases())] == pytest.approx(before, nan_ok=True)


def test_small_budgets_and_packs_change_nothing_but_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    whole = [o.nll_new for o in score_cases(model, cases())]
    for pack, budget in ((1, 1), (20, 40), (4096, 100)):
        monkeypatch.setattr(packing, "PACK_TOKENS", pack)
        parts = [o.nll_new for o in score_cases(model, cases(), token_budget=budget)]
        np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-5)


def test_chunks_of_the_head_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("gpt2")
    whole = score_cases(model, cases())
    monkeypatch.setattr(packing, "_LOGITS_AT_ONCE", 1000)
    np.testing.assert_allclose([o.nll_new for o in score_cases(model, cases())], [o.nll_new for o in whole], rtol=1e-5)


def test_packs_hold_every_distinct_prefix_once() -> None:
    random_ = random.Random(0)
    pairs = [
        (tuple(random_.choices(range(3), k=random_.randint(1, 8))), tuple(random_.choices(range(3), k=2)))
        for _ in range(60)
    ]
    (tree,) = make_packs(pairs, 10**9)
    prefixes = {(*c, *t[:-1])[:n] for c, t in pairs for n in range(1, len(c) + len(t))}
    assert len(tree.tokens) == len(prefixes)
    for pack in [*make_packs(pairs, 12), tree]:
        for at, token, number in pack.reads:
            context, target = pairs[number]
            path = [at]
            while pack.parent[path[-1]] >= 0:
                path.append(pack.parent[path[-1]])
            read = tuple(pack.tokens[node] for node in reversed(path))
            step = len(read) - len(context)
            assert read == (*context, *target[:step]) and token == target[step]
            assert pack.depth[at] == len(path) - 1
    assert sum(len(pack.reads) for pack in make_packs(pairs, 12)) == 2 * len(pairs)


def test_same_call_same_bits_and_nothing_touched() -> None:
    model = tiny_model("gpt2")
    model.model.train()
    model.model.transformer.h[0].eval()
    modes = [module.training for module in model.model.modules()]
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    first, second = score_cases(model, cases()), score_cases(model, cases())
    answers = sample_answers(model, cases())
    after = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert repr(first) == repr(second) and answers == sample_answers(model, cases())
    assert before == after and torch.is_grad_enabled()
    assert modes == [module.training for module in model.model.modules()]


def test_broken_model_fails_every_probe() -> None:
    model = tiny_model("llama")
    model.add_update(1, torch.full_like(model.weight(1), float("nan")))
    outcomes = score_cases(model, cases())
    assert not any(o.exact_new or o.exact_true or o.hits_new or o.hits_true for o in outcomes)
    values = aggregate(case_table(Outcomes.from_records(outcomes), "counterfact"))
    assert values["nonfinite_probes"] == len(outcomes)
    assert values["efficacy_preference"] == values["neighborhood_preference"] == values["score_argmax"] == 0


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        (Probe("rewrite", 0, "river " * 300, "Brno", ""), "tokens; the model takes 128"),
    ],
)
def test_what_cannot_be_scored_is_named(probe: Probe, words: str) -> None:
    case = Case(EditRequest(0, "{} river", "x", "Brno", ""), (probe,))
    with pytest.raises(ConfigError, match=words):
        score_cases(tiny_model("llama"), [case])


def test_prompt_without_tokens_is_named() -> None:
    case = Case(EditRequest(0, "{}", "x", "Brno", ""), (Probe("rewrite", 0, "", "Brno", ""),))
    with pytest.raises(ConfigError, match="Prompt '' has no tokens"):
        score_cases(tiny_model("llama", bos=False), [case])


def test_no_cases_no_outcomes() -> None:
    assert score_cases(tiny_model("llama"), []) == []
    assert sample_answers(tiny_model("llama"), []) == []


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_answers_are_greedy_continuations(architecture: str) -> None:
    model = tiny_model(architecture)
    answers = sample_answers(model, cases(), count=2, seed=3, max_new_tokens=5)
    assert [a.kind for a in answers] == ["rewrite", "paraphrase", "neighborhood"] * 2
    for answer in answers:
        ids = start = model.tokenizer(answer.prompt)["input_ids"]
        for _ in range(5):
            with torch.no_grad():
                token = int(model.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
            ids = [*ids, token]
            if token == model.tokenizer.eos_token_id:
                break
        assert answer.text == model.tokenizer.decode(ids[len(start) :], skip_special_tokens=True)


def test_windows() -> None:
    everything = Scoring()
    assert choose_windows(8, everything, 0) == {"planned": list(range(8))}
    assert choose_windows(8, everything, 8) == {"all": list(range(8)), "first": [0, 1], "latest": [6, 7]}
    assert choose_windows(8, everything, 1) == {"all": [0], "first": [0], "latest": [0]}
    sampled = Scoring(sample=10, seed=4)
    early, late = choose_windows(1000, sampled, 100), choose_windows(1000, sampled, 1000)
    assert {len(v) for v in [*early.values(), *late.values()]} == {10}
    assert max(early["all"]) < 100 and min(late["latest"]) >= 750 and max(late["first"]) < 250
    assert set(late["all"]) & set(range(250)) <= set(late["first"])
    assert choose_windows(1000, sampled, 100) == early
    assert choose_windows(1000, Scoring(sample=10, seed=5), 100) != early
    with pytest.raises(ValueError, match="9 edits"):
        choose_windows(8, everything, 9)


def test_windows_of_a_thousand_edits_beyond_a_thousand() -> None:
    assert {"first_1000", "last_1000"}.isdisjoint(choose_windows(3000, Scoring(), 1000))
    long = choose_windows(3000, Scoring(), 1500)
    assert long["first_1000"] == list(range(1000)) and long["last_1000"] == list(range(500, 1500))
    for edits in (0, 1, 7, 1000, 1001, 3000):
        found = choose_windows(3000, Scoring(), edits)
        assert list(found) == [name for name in WINDOWS if name in found]
        if edits:
            assert {name: len(members) for name, members in found.items()} == {
                name: size for name in WINDOWS if (size := window_size(name, edits))
            }


def test_texts_are_sampled_of_edits_made_and_the_same_ones_as_far_as_can_be() -> None:
    sampling = Scoring(sample=10, seed=4, generation=Generation(cases=20))
    early, late = choose_generated(1000, sampling, 100), choose_generated(1000, sampling, 1000)
    assert len(early) == len(late) == 20 and max(early) < 100 and early == sorted(early)
    assert {position for position in late if position < 100} <= set(early)
    assert choose_generated(1000, sampling, 0) == late and choose_generated(8, sampling, 3) == [0, 1, 2]
    assert choose_generated(8, Scoring(), 8) == []


def test_every_case_that_is_scored_later_is_known_beforehand() -> None:
    sampling = Scoring(sample=5, seed=1)
    known = ever_scored(3000, sampling, (0, 100, 1500))
    for edits in (0, 100, 1500):
        assert {p for members in choose_windows(3000, sampling, edits).values() for p in members} <= set(known)
    assert len(known) < 50


# The published evaluation code on a small trained model: tests/golden/scoring-small/metrics.json.


STATES = ("pristine", "alphaedit_after_batch2")


@pytest.fixture(scope="module")
def golden_models() -> dict[str, EditableModel]:
    folder = str(GOLDEN / "llama-small" / "model")
    found = {state: load_model(folder, name="golden") for state in STATES}
    with np.load(GOLDEN / "scoring-small" / "alphaedit.npz") as recorded:
        for batch in ("b1", "b2"):
            for layer in (0, 1):
                update = recorded[f"{batch}.R"][layer] @ recorded[f"{batch}.A"][layer].T
                found["alphaedit_after_batch2"].add_update(layer, torch.from_numpy(update))
    return found


@pytest.fixture(scope="module")
def golden_model(golden_models: dict[str, EditableModel]) -> EditableModel:
    return golden_models["pristine"]


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / "scoring-small" / "metrics.json").read_text())
    return found


def golden_case(record: dict[str, Any]) -> Case:
    rewrite = record["requested_rewrite"]
    new, true = rewrite["target_new"]["str"], rewrite["target_true"]["str"]
    prompts = {
        "rewrite": [rewrite["prompt"].format(rewrite["subject"])],
        "paraphrase": record["paraphrase_prompts"],
        "neighborhood": record["neighborhood_prompts"],
    }
    probes = [Probe(kind, i, p, new, true) for kind, ps in prompts.items() for i, p in enumerate(ps)]  # type: ignore[arg-type]
    request = EditRequest(record["case_id"], rewrite["prompt"], rewrite["subject"], new, true)
    return Case(request, tuple(probes))


@pytest.mark.parametrize("state", STATES)
def test_counterfact_equals_published_evaluation(
    golden_models: dict[str, EditableModel], golden: dict[str, Any], state: str
) -> None:
    outcomes = score_cases(golden_models[state], [golden_case(record) for record in golden["counterfact_records"]])
    checked = 0
    for record, expected in zip(golden["counterfact_records"], golden["results"][state]["counterfact"], strict=True):
        for kind in ("rewrite", "paraphrase", "neighborhood"):
            mine = [o for o in outcomes if o.case_id == record["case_id"] and o.kind == kind]
            probs, correct = expected[f"{kind}_prompts_probs"], expected[f"{kind}_prompts_correct"]
            assert [o.nll_new for o in mine] == pytest.approx([p["target_new"] for p in probs], rel=1e-4, abs=1e-5)
            assert [o.nll_true for o in mine] == pytest.approx([p["target_true"] for p in probs], rel=1e-4, abs=1e-5)
            assert [o.exact_true if kind == "neighborhood" else o.exact_new for o in mine] == correct
            checked += len(mine)
    assert checked == 42


def test_zsre_equals_published_evaluation(golden_model: EditableModel, golden: dict[str, Any]) -> None:
    """Its first locality item asks for BOS, which no answer holds; its later rewrite items have a doubled space."""
    tokenizer = golden_model.tokenizer

    def hits(asked: list[tuple[str, str]]) -> list[bool]:
        pairs = [(tokenizer(p)["input_ids"], tokenizer(t, add_special_tokens=False)["input_ids"][:1]) for p, t in asked]
        return [bool(n) for n in score_targets(golden_model, pairs, token_budget=2048).hits]

    for record, expected in zip(golden["zsre_records"], golden["results"]["pristine"]["zsre"], strict=True):
        rewrite = record["requested_rewrite"]
        target = " " + rewrite["target_new"]["str"]
        assert hits([(rewrite["prompt"].format(rewrite["subject"]), target)]) == expected["rewrite_prompts_correct"][:1]
        assert hits([(p, target) for p in record["paraphrase_prompts"]]) == expected["paraphrase_prompts_correct"][:1]
        locality = [(item["prompt"], item["target"]) for item in record["neighborhood_prompts"]]
        assert hits(locality) == expected["neighborhood_prompts_correct"]


@pytest.mark.parametrize("state", STATES)
def test_reference_tokenisation_equals_published_evaluation(
    golden_models: dict[str, EditableModel], golden: dict[str, Any], state: str
) -> None:
    """Every token of every answer, BOS and doubled spaces included; and specificity is lower for it."""
    model, recorded = golden_models[state], golden["results"][state]["zsre"]
    cases = [parse_case(record | {"case_id": i}, i) for i, record in enumerate(golden["zsre_raw"])]
    outcomes = score_cases(model, cases, reference_tokenisation=True)
    for outcome in outcomes:
        expected = recorded[outcome.case_id][f"{outcome.kind}_prompts_correct"]
        side = "true" if outcome.kind == "neighborhood" else "new"
        assert getattr(outcome, f"tokens_{side}") == len(expected)
        assert getattr(outcome, f"hits_{side}") == sum(expected)
    quirk, clean = (
        aggregate(case_table(Outcomes.from_records(o), "zsre")) for o in (outcomes, score_cases(model, cases))
    )
    published = [np.mean(e["neighborhood_prompts_correct"]) for e in recorded]
    assert quirk["neighborhood_token_accuracy"] == pytest.approx(100 * np.mean(published))
    assert quirk["neighborhood_token_accuracy"] < clean["neighborhood_token_accuracy"]


def test_without_bos_the_reference_tokenisation_is_the_plain_one() -> None:
    model = tiny_model("llama", bos=False)
    ascii_targets = [cases()[0], cases()[3]]  # decoding one byte of an accented letter cannot be undone
    plain = score_cases(model, ascii_targets)
    for one, other in zip(score_cases(model, ascii_targets, reference_tokenisation=True), plain, strict=True):
        assert (one.tokens_new, one.hits_true, one.exact_new) == (other.tokens_new, other.hits_true, other.exact_new)
        assert one.nll_new == pytest.approx(other.nll_new, rel=1e-4, nan_ok=True)


def test_the_unedited_model_agrees_with_its_own_continuations() -> None:
    model = tiny_model("llama")
    said = {(c.case_id, c.index): c.tokens for c in continuations(model, cases())}
    before = score_cases(model, cases(), continuations=said)
    near = [o for o in before if o.kind == "neighborhood"]
    assert near and all(o.exact_top and o.tokens_top == o.tokens_true == o.hits_top for o in near)
    assert not any(o.tokens_top or o.exact_top for o in before if o.kind != "neighborhood")
    values = aggregate(case_table(Outcomes.from_records(before), "counterfact"))
    assert values["neighborhood_top"] == values["neighborhood_top_tokens"] == 100
    assert values["neighborhood_argmax"] < 100
    model.add_update(1, 3 * torch.randn(model.weight(1).shape, generator=torch.Generator().manual_seed(1)))
    after = aggregate(case_table(Outcomes.from_records(score_cases(model, cases(), continuations=said)), "counterfact"))
    assert after["neighborhood_top"] <= after["neighborhood_top_tokens"] < 100
    plain = score_cases(model, cases())
    assert [o.nll_true for o in plain] == pytest.approx(
        [o.nll_true for o in score_cases(model, cases(), continuations=said)], rel=1e-4, nan_ok=True
    )
    assert "neighborhood_top" not in aggregate(case_table(Outcomes.from_records(plain), "counterfact"))


def test_outcomes_feed_the_metrics(golden_model: EditableModel, golden: dict[str, Any]) -> None:
    outcomes: list[ProbeOutcome] = score_cases(golden_model, [golden_case(r) for r in golden["counterfact_records"]])
    values = aggregate(case_table(Outcomes.from_records(outcomes), "counterfact"))
    shares = [
        np.mean(record["neighborhood_prompts_correct"]) for record in golden["results"]["pristine"]["counterfact"]
    ]
    assert values["neighborhood_argmax"] == pytest.approx(100 * np.mean(shares))
    assert values["efficacy_argmax"] == values["score_argmax"] == 0
