from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.harness.metrics.probes import aggregate
from palimpsest.results.analysis.measures.texts import (
    Likeness,
    fluency,
    n_gram_entropy,
    normalised,
    reference_texts,
    text_entropy,
    text_table,
    words,
)

RECORDED = json.loads(
    (Path(__file__).parents[3] / "golden" / "scoring-small" / "metrics.json").read_text(encoding="utf-8")
)["ngram_entropy"]


@pytest.mark.parametrize("place", range(len(RECORDED["texts"])))
def test_words_and_entropies_are_those_of_the_published_code(place: int) -> None:
    text = RECORDED["texts"][place]
    assert words(text) == RECORDED["word_tokens"][place]
    assert text_entropy(text) == pytest.approx(RECORDED["per_text"][place], rel=1e-12)


def test_fluency_is_a_hundred_times_the_published_mean() -> None:
    assert fluency(RECORDED["texts"]) == pytest.approx(100 * RECORDED["mean"], rel=1e-12)
    assert math.isnan(fluency([]))


def test_entropy_by_hand() -> None:
    # Pairs of a b a b: ab twice, ba once; triples: aba, bab once each.
    pairs = -(2 / 3) * math.log2(2 / 3) - (1 / 3) * math.log2(1 / 3)
    assert n_gram_entropy(["a", "b", "a", "b"], 2) == pytest.approx(pairs)
    assert n_gram_entropy(["a", "b", "a", "b"], 3) == pytest.approx(1)
    assert text_entropy("a b a b") == pytest.approx((pairs + 2 * 1) / 3)
    assert n_gram_entropy(["a"], 2) == 0 and text_entropy("") == 0


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 4))
def test_entropy_is_between_zero_and_that_of_all_different(tokens: list[str], n: int) -> None:
    most = math.log2(max(1, len(tokens) - n + 1))
    assert 0 <= n_gram_entropy(tokens, n) <= most + 1e-12


def test_texts_are_compared_in_compatibility_form() -> None:
    assert normalised("ﬁne\n\nday") == "fine day"
    assert fluency(["ﬁne ﬁne fine fine"]) == 0


def test_references_are_true_statements_about_the_object() -> None:
    probes = [
        ("rewrite", "Anna lives in", "Brno", "Oslo"),
        ("attribute", "Petr lives in", "Brno", "Oslo"),
        ("neighborhood", "Zoë lives in", "Brno", "Oslo"),
        ("neighborhood", "Marie lives in", "Lyon", "Brno"),
        ("attribute", "Petr lives in", "Brno", "Lyon"),
        ("generation", "Anna is", "", ""),
        ("neighborhood", "In which city?", "", ""),
    ]
    assert reference_texts(probes) == {
        "Brno": "Petr lives in Brno. Marie lives in Brno.",
        "Oslo": "Zoë lives in Oslo.",
    }
    many = [("attribute", f"Person {i} lives in", "Brno", "Oslo") for i in range(500)]
    assert reference_texts(many)["Brno"].count("Brno.") == 200


def test_likeness_by_hand() -> None:
    found = Likeness({"x": "red cat", "y": "red dog"})
    common, rare = math.log(3 / 3) + 1, math.log(3 / 2) + 1
    length = math.hypot(common, rare)
    assert found.of("x", ["Red cat!"]) == pytest.approx(1)
    assert found.of("x", ["the red", "dog"]) == pytest.approx(common * common / length**2)
    assert found.of("x", ["red"]) == pytest.approx(common / length)
    twice = math.hypot(common, 2 * rare)
    assert found.of("x", ["cat red", "cat"]) == pytest.approx((common**2 + 2 * rare**2) / (twice * length))
    assert found.of("x", ["nothing of it"]) == 0
    assert math.isnan(found.of("z", ["red"])) and math.isnan(Likeness({}).of("x", ["red"]))


def test_likeness_does_not_depend_on_case_or_company() -> None:
    references = {"x": "The red cat.", "y": "A red dog."}
    alone, more = Likeness(references), Likeness(dict(reversed(references.items())))
    assert alone.of("x", ["A RED bird"]) == pytest.approx(more.of("x", ["a red bird"]), rel=1e-12)


def test_cases_without_references_do_not_weigh_on_consistency() -> None:
    table = text_table({2: ["a b a b"], 1: ["red cat", "red cat"]}, {1: "x", 2: "y"}, {"x": "red cat", "z": "dog"})
    assert table.case_ids.tolist() == [1, 2]
    np.testing.assert_allclose(table.values["consistency_own"], [100, np.nan])
    assert aggregate(table)["consistency_own"] == pytest.approx(100)
    assert aggregate(table)["fluency"] == pytest.approx((0 + fluency(["a b a b"])) / 2)
