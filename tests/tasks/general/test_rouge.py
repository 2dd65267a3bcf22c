"""ROUGE by hand and against Google's implementation of it, which lm-eval brings along."""

from __future__ import annotations

import random

import pytest
from rouge_score.rouge_scorer import RougeScorer

from palimpsest.tasks.general.published import summarization
from palimpsest.tasks.general.rouge import mean_rouge, rouge_l, rouge_n


def test_rouge_by_hand() -> None:
    summary = ["ann", "buys", "two", "red", "apples"]
    reference = ["ann", "buys", "apples", "and", "red", "pears"]
    assert rouge_n(summary, reference, 1) == pytest.approx(2 * 4 / (5 + 6))
    assert rouge_n(summary, reference, 2) == pytest.approx(2 * 1 / (4 + 5))
    assert rouge_l(summary, reference) == pytest.approx(2 * 3 / (5 + 6))
    assert mean_rouge("Ann buys: two RED apples!", "Ann buys apples and red pears.") == pytest.approx(
        (8 / 11 + 2 / 9 + 6 / 11) / 3
    )


@pytest.mark.parametrize(("summary", "score"), [("", 0.0), ("…", 0.0), ("pears", 0.0), ("It rains", 1.0)])
def test_edges(summary: str, score: float) -> None:
    assert mean_rouge(summary, "it rains.") == score


def test_equals_googles_rouge() -> None:
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    rng = random.Random(0)
    words = ["Tom", "isn't", "at", "the", "shop", "at", "5:30", "–", "Zoë", "the", "bus"]
    for _ in range(200):
        one, other = (" ".join(rng.choices(words, k=rng.randrange(2, 25))) for _ in range(2))
        expected = scorer.score(other, one)
        assert mean_rouge(one, other) == pytest.approx(sum(s.fmeasure for s in expected.values()) / 3)


def test_only_what_stands_behind_the_last_mark_is_the_summary() -> None:
    doc = {"summary": "Tom is late."}
    assert summarization(doc, [" Tom is late"]) == summarization(doc, [" x\nTL;DR: Tom is late"]) == {"rouge": 1.0}
