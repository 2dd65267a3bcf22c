"""F1, MCC and perplexity against scikit-learn and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, matthews_corrcoef

from palimpsest.results.analysis.classification import (
    Floats,
    Integers,
    confusion_terms,
    matthews,
    weighted_f1,
    word_perplexity,
)


def confusion(label: Integers, predicted: Integers) -> Floats:
    """Counts, right label × given label, from the cells that `confusion_terms` names."""
    cells, width = confusion_terms(label, predicted)
    return np.bincount(cells, minlength=width * width).reshape(width, width).astype(np.float64)


PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 3)), min_size=1, max_size=40)


@given(PAIRS)
@settings(deadline=None, max_examples=150)
def test_scores_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    label, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    counts = confusion(label, predicted)
    assert float(weighted_f1(counts)) == pytest.approx(
        f1_score(label, predicted, average="weighted", zero_division=0), abs=1e-12
    )
    assert float(matthews(counts)) == pytest.approx(matthews_corrcoef(label, predicted), abs=1e-12)


def test_by_hand() -> None:
    counts = np.array([[3.0, 1.0], [2.0, 4.0]])  # F1: 6/9 and 8/11, weights 4 and 6
    assert float(weighted_f1(counts)) == pytest.approx(0.4 * 6 / 9 + 0.6 * 8 / 11)
    assert float(matthews(counts)) == pytest.approx((3 * 4 - 1 * 2) / math.sqrt(4 * 6 * 5 * 5))
    assert math.isnan(float(weighted_f1(np.zeros((2, 2)))))
    assert weighted_f1(np.stack([counts, counts])).shape == (2,)


def test_an_answer_that_could_not_be_read_is_wrong_and_no_class() -> None:
    label, none = np.array([0, 1, 1]), np.array([-1, -1, -1])
    assert float(weighted_f1(confusion(label, none))) == 0 and float(matthews(confusion(label, none))) == 0


def test_perplexity_is_over_all_words() -> None:
    assert float(word_perplexity(np.array([-6.0, -2.0]), np.array([3.0, 1.0]))) == pytest.approx(math.e**2)
    assert float(word_perplexity(np.array([-6.0, math.nan]), np.array([3.0, 1.0]))) == math.inf
    assert float(word_perplexity(np.array([-1e9]), np.array([1.0]))) == math.inf
