from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.harness.metrics.probes import (
    METRICS,
    SCORES,
    Outcomes,
    aggregate,
    case_table,
    harmonic_mean,
    main_score,
    metric,
)

DOC = Path(__file__).parents[3] / "docs" / "metrics.md"
nan, inf = float("nan"), float("inf")


def outcomes(*rows: dict[str, Any]) -> Outcomes:
    blank = {
        "case_id": 0, "kind": "rewrite", "nll_new": 1.0, "nll_true": 2.0, "tokens_new": 2, "tokens_true": 2,
        "hits_new": 0, "hits_true": 0, "exact_new": False, "exact_true": False,
    }  # fmt: skip
    return Outcomes.from_columns({name: [(blank | row)[name] for row in rows] for name in blank})


def values(*rows: dict[str, Any], form: str = "counterfact") -> dict[str, float]:
    return aggregate(case_table(outcomes(*rows), form))


def test_preference_needs_a_strict_inequality() -> None:
    assert values({})["efficacy_preference"] == 100
    assert values({"nll_true": 1.0})["efficacy_preference"] == 0
    hood = {"kind": "neighborhood"}
    assert values(hood)["neighborhood_preference"] == 0
    assert values(hood | {"nll_new": 3.0})["neighborhood_preference"] == 100
    assert values(hood | {"nll_new": 2.0})["neighborhood_preference"] == 0


def test_argmax_asks_for_the_new_target_and_in_the_neighborhood_for_the_true_one() -> None:
    row = {"exact_new": True, "exact_true": False}
    assert values(row)["efficacy_argmax"] == 100
    assert values(row | {"kind": "paraphrase"})["paraphrase_argmax"] == 100
    assert values(row | {"kind": "neighborhood"})["neighborhood_argmax"] == 0
    assert values({"kind": "neighborhood", "exact_true": True})["neighborhood_argmax"] == 100


def test_magnitudes_are_probability_differences() -> None:
    expected = np.exp(-1.0) - np.exp(-2.0)
    assert values({})["efficacy_magnitude"] == pytest.approx(expected)
    assert values({"kind": "neighborhood"})["neighborhood_magnitude"] == pytest.approx(-expected)


def test_mean_over_the_case_before_the_mean_over_cases() -> None:
    good, bad = {"kind": "paraphrase", "exact_new": True}, {"kind": "paraphrase"}
    found = values(good, {**bad, "case_id": 1}, {**bad, "case_id": 1}, {**good, "case_id": 1})
    assert found["paraphrase_argmax"] == pytest.approx(100 * (1 + 1 / 3) / 2)


def test_cases_without_a_kind_of_probe_do_not_weigh_on_it() -> None:
    table = case_table(outcomes({"exact_new": True}, {"case_id": 1, "kind": "paraphrase"}), "counterfact")
    assert table.case_ids.tolist() == [0, 1]
    np.testing.assert_equal(table.values["efficacy_argmax"], [100, nan])
    assert np.isnan(aggregate(table)["neighborhood_argmax"]) and np.isnan(aggregate(table)["score_argmax"])


@pytest.mark.parametrize("broken", [{"nll_new": nan}, {"nll_new": inf}, {"nll_true": nan}, {"nll_new": -inf}])
@pytest.mark.parametrize("kind", ["rewrite", "paraphrase", "neighborhood"])
def test_likelihoods_that_are_not_finite_are_failures(broken: dict[str, float], kind: str) -> None:
    row = {"kind": kind, "exact_new": True, "exact_true": True, "hits_new": 2, "hits_true": 2} | broken
    stage = "efficacy" if kind == "rewrite" else kind
    found = values(row, {"kind": kind, "case_id": 1, "exact_new": True, "exact_true": True, "nll_new": 1.0})
    assert found["nonfinite_probes"] == 1
    assert found[f"{stage}_argmax"] == 50
    assert found[f"{stage}_preference"] in (0, 50) and values(row)[f"{stage}_preference"] == 0
    assert values(row)[f"{stage}_magnitude"] == -1
    assert values(row, form="zsre")[f"{stage}_token_accuracy"] == 0


def test_token_accuracy_of_questions() -> None:
    locality = {"kind": "neighborhood", "nll_new": nan, "tokens_new": 0, "tokens_true": 4, "hits_true": 1}
    question = {"nll_true": nan, "tokens_true": 0, "tokens_new": 4, "hits_new": 3}
    found = values(question, question | {"kind": "paraphrase", "hits_new": 2}, locality, form="zsre")
    assert found == {
        "efficacy_token_accuracy": 75,
        "paraphrase_token_accuracy": 50,
        "neighborhood_token_accuracy": 25,
        "score_token_accuracy": pytest.approx(3 / (1 / 75 + 1 / 50 + 1 / 25)),
        "nonfinite_probes": 0,
    }
    assert found.keys() <= {record.name for record in METRICS}


def test_a_score_is_zero_where_one_part_is_zero() -> None:
    rows = [{"exact_new": True}, {"kind": "paraphrase", "exact_new": True}, {"kind": "neighborhood"}]
    assert values(*rows)["score_argmax"] == 0


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 100), min_size=3, max_size=3))
def test_harmonic_mean_lies_between_its_parts(parts: list[float]) -> None:
    mean = float(harmonic_mean(np.array(parts)))
    assert min(parts) * (1 - 1e-9) <= mean <= float(np.mean(parts)) * (1 + 1e-9)


def test_harmonic_mean_of_rows() -> None:
    rows = np.array([[50.0, 50.0, 50.0], [100.0, 0.0, 100.0], [100.0, nan, 0.0]])
    np.testing.assert_equal(harmonic_mean(rows), [50.0, 0.0, nan])


def test_table_of_metrics_is_consistent() -> None:
    names = [record.name for record in METRICS]
    assert len(set(names)) == len(names)
    assert {name for score, parts in SCORES.items() for name in (score, *parts)} <= set(names)
    assert metric(main_score("counterfact")).name == "score_argmax"
    assert metric(main_score("zsre")).applies == "zsre"
    with pytest.raises(KeyError):
        metric("acc")


def test_documentation_says_what_the_table_says() -> None:
    rows = re.findall(
        r"^\| `([a-z0-9_]+)` \| (\w+) \| (\w+) \| (\S+) \| (\w+) \| (.*) \|$",
        DOC.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    written = {row[0]: row[1:] for row in rows}
    expected = {m.name: (m.kind, m.direction, m.unit, m.applies, m.definition) for m in METRICS}
    assert written == expected
