from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from palimpsest.harness.metrics.probes import CaseTable, harmonic_mean
from palimpsest.results.analysis.uncertainty import (
    AbilityItems,
    bootstrap_abilities,
    bootstrap_metrics,
    draw_counts,
    resampled_parts,
)

STAGES = ("efficacy", "paraphrase", "neighborhood")


def table(cases: int, share: float = 0.7, seed: int = 0, first: int = 0) -> CaseTable:
    generator = np.random.default_rng(seed)
    ids = np.arange(first, first + cases)
    values = {
        f"{stage}_{form}": 100.0 * (generator.random(cases) < share)
        for stage in STAGES
        for form in ("preference", "argmax")
    } | {f"{stage}_magnitude": generator.random(cases) for stage in STAGES}
    return CaseTable(ids, values, 0)


def test_means_agree_with_the_normal_approximation() -> None:
    data = table(800)
    found = bootstrap_metrics(data, resamples=4000)["efficacy_argmax"]
    column = data.values["efficacy_argmax"]
    half = 1.96 * column.std() / np.sqrt(len(column))
    assert found.value == pytest.approx(column.mean()) and found.n == 800
    assert found.low == pytest.approx(column.mean() - half, abs=0.3)
    assert found.high == pytest.approx(column.mean() + half, abs=0.3)


def test_harmonic_score_equals_a_plain_loop() -> None:
    data = table(60)
    counts = draw_counts(60, 300, seed=5)
    parts = np.stack([data.values[f"{stage}_argmax"] for stage in STAGES], axis=1)
    plain = [float(harmonic_mean(np.repeat(parts, row.astype(int), axis=0).mean(axis=0))) for row in counts]
    found = bootstrap_metrics(data, resamples=300, seed=5)["score_argmax"]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(plain, [0.025, 0.975])))
    assert found.value == pytest.approx(float(harmonic_mean(parts.mean(axis=0))))


def test_draws_are_resamples_and_seeded() -> None:
    counts = draw_counts(50, 2000, seed=1)
    assert (counts.sum(axis=1) == 50).all() and counts.mean() == pytest.approx(1)
    assert counts.var() == pytest.approx(1 - 1 / 50, abs=0.05)
    assert (counts == draw_counts(50, 2000, seed=1)).all() and (counts != draw_counts(50, 2000, seed=2)).any()
    assert bootstrap_metrics(table(40)) == bootstrap_metrics(table(40))


def test_absent_values_are_left_out() -> None:
    values = {f"{stage}_argmax": np.array([100.0, 0.0, np.nan, np.nan]) for stage in STAGES}
    values["neighborhood_argmax"] = np.full(4, np.nan)
    found = bootstrap_metrics(CaseTable(np.arange(4), values, 3))
    assert (found["efficacy_argmax"].value, found["efficacy_argmax"].n) == (50, 2)
    assert found["neighborhood_argmax"].value is None and found["score_argmax"].value is None
    assert (found["nonfinite_probes"].value, found["nonfinite_probes"].low) == (3, None)


def test_one_case_has_no_interval_and_no_case_no_value() -> None:
    one = bootstrap_metrics(table(1))["efficacy_argmax"]
    assert one.value is not None and one.low is None and one.high is None
    assert bootstrap_metrics(table(0))["efficacy_argmax"].value is None


def test_clusters_widen_the_interval() -> None:
    values = {f"{stage}_argmax": np.repeat(table(50).values[f"{stage}_argmax"], 8) for stage in STAGES}
    data = CaseTable(np.arange(400), values, 0)
    single = bootstrap_metrics(data)["efficacy_argmax"]
    clustered = bootstrap_metrics(data, clusters=[f"subject {i // 8}" for i in range(400)])["efficacy_argmax"]
    assert single.low and single.high and clustered.low and clustered.high
    assert (clustered.high - clustered.low) / (single.high - single.low) == pytest.approx(8**0.5, rel=0.2)
    with pytest.raises(ValueError, match="3 clusters for 400 cases"):
        bootstrap_metrics(data, clusters=["a", "b", "c"])


def test_intervals_cover() -> None:
    inside = 0
    for seed in range(200):
        found = bootstrap_metrics(table(100, seed=seed), resamples=400, seed=seed)["efficacy_argmax"]
        assert found.low is not None and found.high is not None
        inside += found.low <= 70 <= found.high
    assert 180 <= inside <= 199


def test_fast() -> None:
    data = table(500)
    bootstrap_metrics(data)
    begin = time.process_time()
    bootstrap_metrics(data)
    assert time.process_time() - begin < 0.2


def items(name: str, right: float, pristine: float, count: int = 200, chance: float = 0.25) -> AbilityItems:
    order = np.random.default_rng(len(name)).permutation(count)
    return AbilityItems(name, chance, order < right * count, order < pristine * count)


def test_abilities() -> None:
    kept, single = bootstrap_abilities([items("recall", 0.6, 0.95), items("sums", 0.95, 0.95)])
    assert kept.value == pytest.approx(100 * (0.35 + 0.7) / 1.4) and kept.n == 400
    assert kept.low and kept.high and kept.low < kept.value < kept.high
    assert single["recall"].value == pytest.approx(60)
    unable = items("unable", 0.2, 0.25)
    assert bootstrap_abilities([items("recall", 0.6, 0.95), unable])[0].value == pytest.approx(50)
    assert bootstrap_abilities([unable])[0].value is None
    with pytest.raises(ValueError, match="bad: 2 items, but 3"):
        bootstrap_abilities([AbilityItems("bad", 0.5, np.ones(2, bool), np.ones(3, bool))])


def test_the_interval_of_abilities_kept_is_bounded_where_a_task_is_barely_above_chance() -> None:
    """The audit's case gave an upper end of 5.8e8 %: five perfect tasks and one at 110 of 200, chance 50 %."""
    perfect = [items(f"task {'x' * i}", 1.0, 1.0, chance=0.5) for i in range(5)]
    kept, _ = bootstrap_abilities([*perfect, items("near chance", 0.55, 0.55, chance=0.5)])
    assert (kept.value, kept.low, kept.high) == pytest.approx((100, 100, 100)) and kept.n == 1000
    barely = items("barely", 0.5, 0.61, chance=0.5)
    alone, _ = bootstrap_abilities([barely])
    assert alone.value == 0 and alone.low is not None and -300 < alone.low < 0 and alone.high and alone.high < 100
    order = np.random.default_rng(3).permutation(200)
    worse, _ = bootstrap_abilities([replace(barely, correct=order < 62)])
    assert worse.low is not None and -700 < worse.low < (worse.value or 0)


def test_unchanged_model_keeps_everything_without_doubt() -> None:
    kept, _ = bootstrap_abilities([items("recall", 0.9, 0.9)])
    assert (kept.value, kept.low, kept.high) == pytest.approx((100, 100, 100))


def test_the_parts_of_the_headline_are_drawn_jointly_over_checkpoints() -> None:
    names = ("efficacy_argmax", "paraphrase_argmax", "neighborhood_argmax")
    early, late = table(100, 0.9), table(300, 0.5)
    found = resampled_parts({0: late, 100: early}, names, resamples=200, seed=4)
    assert found[100].shape == (201, 3) and (found[0][0] == resampled_parts({0: late}, names)[0][0]).all()
    assert found[100][0] == pytest.approx([early.values[name].mean() / 100 for name in names])
    counts = draw_counts(300, 200, seed=4)
    plain = np.repeat(early.values[names[0]], counts[7, :100].astype(int)).mean() / 100
    assert found[100][8, 0] == pytest.approx(plain)
    clustered = resampled_parts({100: early}, names, clusters={case: case // 4 for case in range(100)})
    assert clustered[100][1:, 0].std() > 0 and resampled_parts({}, names) == {}
