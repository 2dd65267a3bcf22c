"""Which cases depend on each other, against plain loops over all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from palimpsest.results.analysis.intervals.clusters import Clusters


def labelled(cases: int, seed: int = 0) -> list[list[str]]:
    """Subject, true and new object of each case."""
    generator = np.random.default_rng(seed)
    return [[f"{kind} {i}" for i in generator.integers(0, size, cases)] for kind, size in enumerate((cases, 9, 7))]


def pairs(labels: list[list[str]]) -> np.ndarray:
    """[i, j]: whether two cases share a label, by a loop."""
    cases = range(len(labels[0]))
    return np.array([[any(kind[i] == kind[j] for kind in labels) for j in cases] for i in cases])


def test_cases_that_share_a_subject_or_an_object_depend_on_each_other() -> None:
    labels = labelled(60)
    values = np.random.default_rng(1).normal(size=(60, 3))
    clusters = Clusters.of(range(60), *labels)
    expected = np.einsum("ik,ij,jk->k", values, pairs(labels), values)
    assert clusters.dependent(values) == pytest.approx(expected)
    assert clusters.dependent(np.ones((60, 1)))[0] == pairs(labels).sum()


def test_some_of_the_cases_have_the_same_groups_among_themselves() -> None:
    labels = labelled(60)
    some = np.flatnonzero(np.random.default_rng(2).random(60) < 0.5)
    values = np.random.default_rng(3).normal(size=(len(some), 2))
    found = Clusters.of(range(60), *labels).among(some)
    alone = Clusters.of(some.tolist(), *([kind[i] for i in some] for kind in labels))
    assert found.dependent(values) == pytest.approx(alone.dependent(values))
    assert (found.case_ids == some).all() and not found.independent


def test_the_order_in_which_cases_are_listed_does_not_matter() -> None:
    labels, order = labelled(40), np.random.default_rng(4).permutation(40)
    values = np.random.default_rng(5).normal(size=(40, 2))
    one = Clusters.of(range(40), *labels)
    other = Clusters.of(order.tolist(), *([kind[i] for i in order] for kind in labels))
    assert (one.noise(values, 50, 0)[0] == other.noise(values, 50, 0)[0]).all()
    assert one.dependent(values) == pytest.approx(other.dependent(values))


def test_an_object_that_is_not_told_is_shared_with_no_case() -> None:
    assert Clusters.of(range(30), [f"subject {i}" for i in range(30)], [""] * 30).independent


def test_two_answers_are_no_sample_of_objects() -> None:
    assert Clusters.of(range(30), ["yes", "no"] * 15).independent
    assert not Clusters.of(range(30), ["yes", "no", "maybe"] * 10).independent


def test_random_combinations_have_the_variance_that_is_told_and_are_the_same_each_time() -> None:
    labels = labelled(80)
    values = np.random.default_rng(6).normal(size=(80, 4))
    clusters = Clusters.of(range(80), *labels)
    noise, variance = clusters.noise(values, 4000, 1)
    assert noise.var(axis=0) == pytest.approx(variance, rel=0.1)
    assert (noise == Clusters.of(range(80), *labels).noise(values, 4000, 1)[0]).all()
    assert (noise != clusters.noise(values, 4000, 2)[0]).all()


def test_what_two_columns_have_in_common_their_combinations_have() -> None:
    values = np.random.default_rng(7).normal(size=(80, 1))
    both = np.concatenate([values, values], axis=1)
    noise, _ = Clusters(np.arange(80)).noise(both, 10, 0)
    assert (noise[:, 0] == noise[:, 1]).all()


def test_no_case_is_no_error() -> None:
    empty = Clusters.of([], [], [])
    assert empty.dependent(np.zeros((0, 2))).tolist() == [0, 0]
