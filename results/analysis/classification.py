"""Scores of labels given and labels right: weighted F1, Matthews correlation and perplexity, as pure functions.

The first two are computed from confusion counts, whose leading axes may be resamples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def confusion_terms(label: Integers, predicted: Integers) -> tuple[NDArray[np.intp], int]:
    """For each item the flat index of its cell, and the width of the square confusion matrix it is a cell of.

    Labels that occur nowhere take no room. A prediction of -1 (no answer that could be read) is a class of its own that
    nothing has as its label.
    """
    classes = np.unique(np.concatenate([label, predicted]))
    rows, columns = np.searchsorted(classes, label), np.searchsorted(classes, predicted)
    return rows * len(classes) + columns, len(classes)


def weighted_f1(counts: Floats) -> Floats:
    """F1 of each class, averaged by how often the class is the right one; 0..1.

    Args:
        counts: (…, classes, classes): right label × given label.

    Returns:
        (…): NaN without items. Equal to scikit-learn's ``f1_score(average="weighted")``.
    """
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    support, given = counts.sum(axis=-1), counts.sum(axis=-2)
    f1 = 2 * right / np.maximum(support + given, 1e-300)
    total = support.sum(axis=-1)
    return np.where(total > 0, (f1 * support).sum(axis=-1) / np.maximum(total, 1e-300), np.nan)


def matthews(counts: Floats) -> Floats:
    """Matthews correlation of several classes (Gorodkin 2004, R_K); -1..1, 0 where it is not defined.

    Args:
        counts: (…, classes, classes): right label × given label.
    """
    right = np.diagonal(counts, axis1=-2, axis2=-1).sum(axis=-1)
    support, given = counts.sum(axis=-1), counts.sum(axis=-2)
    total = support.sum(axis=-1)
    covariance = right * total - (support * given).sum(axis=-1)
    spread = (total**2 - (given**2).sum(axis=-1)) * (total**2 - (support**2).sum(axis=-1))
    return np.where(spread > 0, covariance / np.sqrt(np.maximum(spread, 1e-300)), 0.0)


def word_perplexity(log_likelihood: Floats, words: Floats) -> Floats:
    """Perplexity per word over the last axis; infinite where the model gave no number."""
    total, count = log_likelihood.sum(axis=-1), words.sum(axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):
        value = np.exp(-total / np.maximum(count, 1))
    return np.where(np.isfinite(total), value, np.inf)
