"""Verdicts about claims: by hand, by another library, under the null, and whatever the order and what is missing."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from palimpsest.results.analysis.claims import Measured, Sample, judge, outcomes
from palimpsest.tasks.claim_files import Claim, ClaimSet, Row

SURE = (3.1, 2.9, 3.0, 3.2, 2.8)
UNSURE = (1.0, -0.8, 0.4, 1.2, -0.3)


def sample(*differences: float, side: int = 1, two_sided: bool = True) -> Sample:
    return Sample(differences, side, two_sided)


def verdicts(*samples: Sample | None, level: float = 0.05) -> list[str | None]:
    return [None if one is None else one.verdict for one in judge(samples, level)]


def test_a_sure_difference_shows_one_claim_and_refutes_its_opposite() -> None:
    assert verdicts(sample(*SURE), sample(*SURE, side=-1), sample(*UNSURE)) == ["shown", "refuted", "open"]


def test_a_one_sided_test_never_refutes() -> None:
    assert verdicts(sample(*SURE, two_sided=False), sample(*SURE, side=-1, two_sided=False)) == ["shown", "open"]


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("differences", [SURE, UNSURE, tuple(-d for d in SURE)])
def test_p_and_interval_are_those_of_a_t_test(differences: tuple[float, ...], side: int) -> None:
    for two_sided, words in ((True, "two-sided"), (False, {1: "greater", -1: "less"}[side])):
        (found,) = judge([sample(*differences, side=side, two_sided=two_sided)], 0.05)
        other = stats.ttest_1samp(differences, 0.0, alternative=words)
        assert found is not None and found.p == pytest.approx(other.pvalue) and found.adjusted == found.p
        low, high = other.confidence_interval(0.95)
        ends = [-math.inf if found.low is None else found.low, math.inf if found.high is None else found.high]
        assert ends == pytest.approx([low, high])


def test_p_is_adjusted_by_holm_over_all_claims() -> None:
    """Three tests by hand: p of 0.0100, 0.0300 and 0.0200 become 3 · 0.01, 2 · 0.02 (not 0.03), and no less."""
    t = {p: stats.t.isf(p / 2, 4) for p in (0.01, 0.03, 0.02)}
    samples = [sample(*(np.array([-2, -1, 0, 1, 2]) + t[p] * math.sqrt(2.5 / 5)).tolist()) for p in t]
    found = judge(samples, 0.05)
    assert [one.p for one in found if one] == pytest.approx([0.01, 0.03, 0.02])
    assert [one.adjusted for one in found if one] == pytest.approx([0.03, 0.04, 0.04])
    assert [one.confidence for one in found if one] == pytest.approx([1 - 0.05 / 3, 0.95, 0.975])
    assert [one.verdict for one in found if one] == ["shown"] * 3


def test_after_the_first_that_fails_none_is_found() -> None:
    """p of 0.03 would be found alone, and even as the second of two; behind a first of 0.026 it is not."""
    t = {p: stats.t.isf(p / 2, 4) for p in (0.026, 0.03)}
    samples = [sample(*(np.array([-2, -1, 0, 1, 2]) + t[p] * math.sqrt(2.5 / 5)).tolist()) for p in t]
    assert verdicts(*samples) == ["open", "open"] and verdicts(samples[1]) == ["shown"]


def test_nothing_is_found_in_more_than_one_of_twenty_sets_where_nothing_is_the_matter() -> None:
    """Twelve claims over five seeds that share hosts, as real ones do: 1,000 sets."""
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(1000):
        rows, hosts = rng.normal(size=(12, 5)), rng.normal(size=(3, 5))
        samples = [sample(*(rows[i] - hosts[i % 3]).tolist(), side=1 if i % 2 else -1) for i in range(12)]
        wrong += any(one is not None and one.verdict != "open" for one in judge(samples, 0.05))
    assert wrong <= 50


def test_a_difference_of_ten_standard_deviations_is_found_among_twelve_claims() -> None:
    rng = np.random.default_rng(8)
    found = 0
    for _ in range(100):
        noise = rng.normal(size=(12, 5))
        samples = [sample(*(noise[i] + (10 if i == 3 else 0)).tolist()) for i in range(12)]
        found += verdicts(*samples)[3] == "shown"
    assert found >= 95


def test_the_order_of_the_claims_changes_nothing() -> None:
    samples = [sample(*SURE), sample(*UNSURE), sample(*SURE), None, sample(*(0.3 * d + 0.6 for d in UNSURE))]
    whole = judge(samples, 0.05)
    for order in permutations(range(len(samples))):
        assert judge([samples[i] for i in order], 0.05) == [whole[i] for i in order]


def test_what_is_missing_has_no_verdict_and_takes_none_back_when_it_is_there() -> None:
    rng = np.random.default_rng(9)
    for _ in range(200):
        samples = [sample(*(rng.normal(size=5) + shift).tolist()) for shift in rng.normal(scale=3, size=6)]
        some = [one if rng.random() < 0.5 else None for one in samples]
        for before, after in zip(judge(some, 0.05), judge(samples, 0.05), strict=True):
            assert before is None or before.verdict in ("open", after and after.verdict)


def test_zero_lies_outside_an_interval_just_if_something_was_found() -> None:
    rng = np.random.default_rng(10)
    for _ in range(300):
        samples = [
            sample(*(rng.normal(size=5) + shift).tolist(), side=int(side), two_sided=bool(two))
            for shift, side, two in zip(
                rng.normal(scale=2, size=5), rng.choice([-1, 1], 5), rng.integers(0, 2, 5), strict=True
            )
        ]
        for one in judge(samples, 0.05):
            assert one is not None
            outside = (one.low is not None and one.low > 0) or (one.high is not None and one.high < 0)
            assert outside == (one.verdict != "open")


def test_differences_without_spread_are_sure_unless_they_are_zero() -> None:
    assert verdicts(sample(2.0, 2.0, 2.0), sample(0.0, 0.0, 0.0), sample(-1.0, -1.0, -1.0)) == [
        "shown",
        "open",
        "refuted",
    ]
    assert verdicts(sample(0.0, 0.0, 0.0, two_sided=False)) == ["open"]


# ---------------------------------------------------------------------------------------------- from runs to verdicts

KEY = ("effective_edits", 500)
SEEDS = (0, 1, 2, 3, 4)


def claim_set(*pairs: tuple[str, str]) -> ClaimSet:
    claim = Claim(
        id="one",
        statement="A is higher than B",
        source="2601.11042",
        pairs=pairs,
        metric=KEY[0],
        edits=KEY[1],
        direction="higher",
        test="paired t, two-sided",
    )
    rows = tuple(Row(name=name, editor="memit", set={"x": name}) for pair in pairs for name in pair)
    return ClaimSet(
        name="some", description="Some", suite="editors", seeds=SEEDS, level=0.05, rows=rows, claims=(claim,)
    )


def runs_of(claims: ClaimSet) -> dict[str, dict[int, str]]:
    return {row.name: {seed: f"{row.name}-{seed}" for seed in claims.seeds} for row in claims.rows}


def measured(values: dict[str, tuple[float, ...]], status: str = "complete") -> dict[str, Measured]:
    return {f"{row}-{i}": Measured(status, {KEY: v}) for row, found in values.items() for i, v in enumerate(found)}


def test_a_difference_is_taken_seed_by_seed_and_over_several_pairs_as_their_mean() -> None:
    claims = claim_set(("a", "b"), ("c", "d"))
    values = {"a": (10.0, 20, 30, 40, 50), "b": (9.0, 18, 29, 38, 49), "c": (5.0,) * 5, "d": (2.0,) * 5}
    (found,) = outcomes(claims, runs_of(claims), measured(values))
    assert found.differences == {0: 2.0, 1: 2.5, 2: 2.0, 3: 2.5, 4: 2.0}
    assert found.lacking == () and found.judgement is not None and found.judgement.verdict == "shown"


def test_no_verdict_is_taken_on_a_part_of_the_seeds() -> None:
    claims = claim_set(("a", "b"))
    known = measured({"a": (110.0, 111, 109, 110, 112), "b": (10.0, 11, 10, 9, 10)})
    del known["b-3"]
    known["a-1"] = Measured("partial", {})
    (found,) = outcomes(claims, runs_of(claims), known)
    assert found.judgement is None and sorted(found.differences) == [0, 2, 4]
    assert {(lack.row, lack.seed, lack.why) for lack in found.lacking} == {
        ("a", 1, "partial"),
        ("b", 3, "not run yet"),
    }


def test_a_collapse_is_a_result_and_a_number_that_it_left_unmeasured_is_named() -> None:
    claims = claim_set(("a", "b"))
    known = measured({"a": (90.0, 91, 92, 90, 91)}) | measured({"b": (10.0, 11, 10, 9, 10)}, "collapsed")
    assert [one.judgement and one.judgement.verdict for one in outcomes(claims, runs_of(claims), known)] == ["shown"]
    known["b-0"] = Measured("collapsed", {})
    (found,) = outcomes(claims, runs_of(claims), known)
    assert found.judgement is None and [lack.why for lack in found.lacking] == ["without this number"]
