"""Intervals of metrics and harmonic scores: what they are, and what they depend on."""

from __future__ import annotations

import numpy as np
import pytest

from palimpsest.harness.metrics.probes import CaseTable
from palimpsest.results.analysis.intervals.cases import drawn_parts, metric_intervals, percentiles
from palimpsest.results.analysis.intervals.clusters import Clusters

STAGES = ("efficacy", "paraphrase", "neighborhood")
ARGMAX = tuple(f"{stage}_argmax" for stage in STAGES)


def table(cases: int, share: float = 0.7, seed: int = 0, first: int = 0) -> CaseTable:
    generator = np.random.default_rng(seed)
    ids = np.arange(first, first + cases)
    values = {
        f"{stage}_{form}": 100.0 * (generator.random(cases) < share)
        for stage in STAGES
        for form in ("preference", "argmax")
    } | {f"{stage}_magnitude": generator.random(cases) for stage in STAGES}
    return CaseTable(ids, values, 0)


def test_shares_and_magnitudes_agree_with_the_normal_approximation() -> None:
    data = table(800)
    found = metric_intervals(data)
    for name in ("efficacy_argmax", "efficacy_magnitude"):
        column, one = data.values[name], found[name]
        half = 1.96 * column.std() / np.sqrt(len(column))
        assert one.value == pytest.approx(column.mean()) and one.n == 800
        assert one.low == pytest.approx(column.mean() - half, rel=0.01)
        assert one.high == pytest.approx(column.mean() + half, rel=0.01)


def test_a_harmonic_score_is_of_draws_of_its_parts() -> None:
    data = table(60)
    parts = drawn_parts({0: data}, ARGMAX, Clusters(data.case_ids), resamples=300, seed=5)[0]
    assert parts[0] == pytest.approx([data.values[name].mean() / 100 for name in ARGMAX])
    plain = np.array([100 * 3 / sum(1 / part for part in row) for row in parts])
    found = metric_intervals(data, resamples=300, seed=5)["score_argmax"]
    assert found.value == pytest.approx(plain[0]) and (found.low, found.high) == pytest.approx(percentiles(plain))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(plain[1:], [0.025, 0.975])), abs=1.5)


def test_they_are_seeded() -> None:
    data = table(40)
    assert metric_intervals(data) == metric_intervals(data)
    assert metric_intervals(data)["score_argmax"] != metric_intervals(data, seed=1)["score_argmax"]


def test_absent_values_are_left_out() -> None:
    values = {name: np.array([100.0, 0.0, np.nan, np.nan]) for name in ARGMAX}
    values["neighborhood_argmax"] = np.full(4, np.nan)
    found = metric_intervals(CaseTable(np.arange(4), values, 3))
    assert (found["efficacy_argmax"].value, found["efficacy_argmax"].n) == (50, 2)
    assert found["neighborhood_argmax"].value is None and found["score_argmax"].value is None
    assert (found["nonfinite_probes"].value, found["nonfinite_probes"].low) == (3, None)


def test_one_case_has_no_interval_and_no_case_no_value() -> None:
    one = metric_intervals(table(1))["efficacy_argmax"]
    assert one.value is not None and one.low is None and one.high is None
    assert metric_intervals(table(0))["efficacy_argmax"].value is None


def test_cases_that_all_come_eightfold_have_the_interval_of_an_eighth_of_them() -> None:
    values = {name: np.repeat(table(50).values[name], 8) for name in ARGMAX}
    data = CaseTable(np.arange(400), values, 0)
    single = metric_intervals(data)
    clustered = metric_intervals(data, Clusters.of(range(400), [f"subject {i // 8}" for i in range(400)]))
    once = metric_intervals(table(50))
    for name in ("efficacy_argmax", "score_argmax"):
        alone, together, few = (one[name] for one in (single, clustered, once))
        assert alone.low and alone.high and together.low and together.high and few.low and few.high
        assert (together.high - together.low) / (alone.high - alone.low) == pytest.approx(8**0.5, rel=0.1)
        assert (together.low, together.high) == pytest.approx((few.low, few.high), abs=2)


def test_draws_of_all_checkpoints_are_of_the_same_cases() -> None:
    early, late = table(100, 0.9), table(300, 0.5)
    clusters = Clusters(late.case_ids)
    found = drawn_parts({0: late, 100: early, 300: late}, ARGMAX, clusters, resamples=200, seed=4)
    assert found[100].shape == (201, 3) and (found[0] == found[300]).all()
    assert found[100][0] == pytest.approx([early.values[name].mean() / 100 for name in ARGMAX])
    within = CaseTable(early.case_ids, {name: late.values[name][:100] for name in ARGMAX}, 0)
    nested = drawn_parts({0: within, 300: late}, ARGMAX, clusters, resamples=4000)
    assert np.corrcoef(nested[0][1:, 0], nested[300][1:, 0])[0, 1] == pytest.approx(1 / 3**0.5, abs=0.08)
    assert drawn_parts({}, ARGMAX, clusters) == {}


def test_a_score_of_0_has_an_upper_end() -> None:
    data = table(50)
    data = CaseTable(data.case_ids, {**data.values, "paraphrase_argmax": np.zeros(50)}, 0)
    found = metric_intervals(data)["score_argmax"]
    assert found.value == 0 and found.low == 0 and found.high is not None and 5 < found.high < 25
