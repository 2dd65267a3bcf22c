"""Aggregates against plain re-computations from the same outcomes, and the rules for collapsed and unfinished runs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from palimpsest.results.analysis.aggregate import Aggregates, aggregate_run
from palimpsest.results.reading.run_folder import folder_digest, read_run_folder
from palimpsest.results.records import Interval
from tests.labs.synthetic import ABILITIES, SyntheticRun, write_run
from tests.results.conftest import SMALL

BASE = SyntheticRun(half=60, checkpoints=SMALL, batch_size=10, neighborhood=2)


def aggregated(runs: Path, run: SyntheticRun) -> Aggregates:
    folder = runs / write_run(runs, run)
    return aggregate_run(read_run_folder(folder, folder_digest(folder)))


def values(found: Aggregates, edits: int, window: str) -> dict[str, Interval]:
    return {row.metric: row.interval for row in found.metrics if (row.edits, row.window) == (edits, window)}


def outcomes(runs: Path, run: SyntheticRun, edits: int, window: str) -> list[dict[str, Any]]:
    table = pq.read_table(runs / run.spec().id / "scores" / f"{edits:06d}" / "probes.parquet")
    return [row for row in table.to_pylist() if row[f"window_{window}"]]


def mean_over_cases(rows: list[dict[str, Any]], kind: str, value: Any) -> float:
    cases = defaultdict(list)
    for row in rows:
        if row["kind"] == kind:
            cases[row["case_id"]].append(float(value(row)))
    return 100 * fmean(fmean(case) for case in cases.values())


def test_without_resamples_the_values_are_the_same_and_have_no_intervals(tmp_path: Path) -> None:
    for run in (BASE, replace(BASE, status="collapsed", stops_at=30, texts=5, top=True)):
        folder = tmp_path / write_run(tmp_path, run)
        checked = read_run_folder(folder, folder_digest(folder))
        whole, bare = aggregate_run(checked), aggregate_run(checked, resamples=0)
        for one, other in zip(whole.metrics, bare.metrics, strict=True):
            assert replace(one, interval=other.interval) == other
            assert one.interval.value == pytest.approx(other.interval.value) and one.interval.n == other.interval.n
            assert one.imputed or other.interval.low is other.interval.high is None, one
        assert (bare.status, bare.headline.draws) == (whole.status, ())
        assert bare.headline.effective_edits.value == pytest.approx(whole.headline.effective_edits.value)


@pytest.mark.parametrize(("edits", "window"), [(0, "planned"), (20, "all"), (40, "first"), (40, "latest")])
def test_metrics_are_means_over_cases_of_the_outcomes(edits: int, window: str, tmp_path: Path) -> None:
    found = values(aggregated(tmp_path, BASE), edits, window)
    rows = outcomes(tmp_path, BASE, edits, window)
    expected = {
        "efficacy_argmax": mean_over_cases(rows, "rewrite", lambda r: r["exact_new"]),
        "paraphrase_preference": mean_over_cases(rows, "paraphrase", lambda r: r["nll_new"] < r["nll_true"]),
        "neighborhood_argmax": mean_over_cases(rows, "neighborhood", lambda r: r["exact_true"]),
        "neighborhood_preference": mean_over_cases(rows, "neighborhood", lambda r: r["nll_true"] < r["nll_new"]),
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value), name
        assert found[name].n == len({row["case_id"] for row in rows})
        low, high = found[name].low, found[name].high
        assert low is not None and high is not None and 0 <= low <= value + 1e-9 and value - 1e-9 <= high <= 100
    parts = [found[f"{part}_argmax"].value or 0.0 for part in ("efficacy", "paraphrase", "neighborhood")]
    harmonic = 0.0 if 0 in parts else 3 / sum(1 / part for part in parts)
    assert found["score_argmax"].value == pytest.approx(harmonic)


def test_zsre_has_token_accuracy_and_no_preference(tmp_path: Path) -> None:
    run = replace(BASE, form="zsre", neighborhood=1)
    found = values(aggregated(tmp_path, run), 40, "all")
    assert {"efficacy_token_accuracy", "score_token_accuracy"} <= set(found)
    assert not any(name.endswith(("preference", "argmax")) for name in found)
    rows = outcomes(tmp_path, run, 40, "all")
    expected = mean_over_cases(rows, "neighborhood", lambda r: r["hits_true"] / r["tokens_true"])
    assert found["neighborhood_token_accuracy"].value == pytest.approx(expected)


def test_aggregating_twice_gives_the_same_numbers(tmp_path: Path) -> None:
    assert aggregated(tmp_path, BASE) == aggregated(tmp_path, BASE)


def test_cases_of_one_object_are_taken_together(tmp_path: Path) -> None:
    """The audit found a standard error of 1.11 points by case and of 1.84 by true object, where 1.11 was shown."""
    folder = tmp_path / write_run(tmp_path, BASE)
    run = read_run_folder(folder, folder_digest(folder))
    fours = {case: place // 4 for place, case in enumerate(run.cases["case_id"].to_pylist())}
    probes, widths = run.checkpoints[40]["probes.parquet"], {}
    right = [fours[case] % 2 == 0 for case in probes["case_id"].to_pylist()]
    run.checkpoints[40]["probes.parquet"] = probes.set_column(
        probes.column_names.index("exact_true"), probes.schema.field("exact_true"), pa.array(right)
    )
    for shared in ("none", "subject", "target_true", "target_new"):
        cases = run.cases
        for name in ("subject", "target_true", "target_new"):
            labels = [f"{name} {four if name == shared else case}" for case, four in fours.items()]
            cases = cases.set_column(cases.column_names.index(name), cases.schema.field(name), pa.array(labels))
        found = values(aggregate_run(replace(run, cases=cases)), 40, "all")["neighborhood_argmax"]
        assert found.low is not None and found.high is not None
        widths[shared] = found.high - found.low
    assert widths["subject"] == widths["target_true"] == widths["target_new"] > 1.7 * widths["none"]


def test_abilities_kept_compare_with_the_pristine_model(tmp_path: Path) -> None:
    found = aggregated(tmp_path, BASE)
    whole = values(found, 0, "")["abilities_kept"]
    assert (whole.value, whole.low, whole.high) == pytest.approx((100, 100, 100)), "by definition"
    assert found.abilities_counted == tuple(sorted(ABILITIES))
    scores = {(row.edits, row.ability): row.interval.value or 0.0 for row in found.abilities}
    above = [
        sum((scores[edits, name] - 100 * chance) / (1 - chance) for name, chance in ABILITIES.items())
        for edits in (0, 40)
    ]
    kept = values(found, 40, "")["abilities_kept"]
    assert kept.value == pytest.approx(100 * above[1] / above[0]) and kept.n == 240


def h(found: Aggregates, edits: int) -> float:
    """By hand from the other metrics, as a share."""
    now, start = values(found, edits, "all"), values(found, 0, "planned")
    parts = [now["efficacy_argmax"].value, now["paraphrase_argmax"].value]
    shares = [(part or 0.0) / 100 for part in parts]
    shares.append(min(1.0, (now["neighborhood_argmax"].value or 0.0) / (start["neighborhood_argmax"].value or 1.0)))
    shares.append(min(1.0, (values(found, edits, "")["abilities_kept"].value or 0.0) / 100))
    return 4 / sum(1 / share for share in shares)


def test_effective_edits_are_the_area_under_h(tmp_path: Path) -> None:
    found = aggregated(tmp_path, BASE)
    at = {edits: h(found, edits) for edits in (10, 20, 40)}
    for edits, value in at.items():
        quality = values(found, edits, "all")["quality"]
        assert quality.value == pytest.approx(100 * value) and quality.n == edits
        assert quality.low is not None and quality.high is not None and quality.low <= 100 * value <= quality.high
    one = found.headline.effective_edits
    assert one.value == pytest.approx(10 * at[10] + 10 * (at[10] + at[20]) / 2 + 20 * (at[20] + at[40]) / 2)
    assert one.low is not None and one.high is not None and 0 < one.low < one.value < one.high < 40
    assert len(found.headline.draws) == 1000 and min(found.headline.draws) < one.low


def test_the_name_of_the_seed_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / write_run(tmp_path, BASE)
    run = read_run_folder(folder, folder_digest(folder))
    other = replace(run, spec=run.spec.model_copy(update={"seed": 5}))
    assert aggregate_run(other) == aggregate_run(run)


def test_without_the_pristine_model_abilities_take_no_part(tmp_path: Path) -> None:
    found = aggregated(tmp_path, replace(BASE, checkpoints=(10, 20, 40)))
    assert not any(row.metric == "abilities_kept" for row in found.metrics)
    assert found.abilities and found.abilities_counted == () and set(found.headline.relative) == {"editing"}
    score = values(found, 10, "all")["score_argmax"].value or 0.0
    assert values(found, 10, "all")["quality"].value == pytest.approx(score), "neighborhood as it is, three parts"


def test_a_run_whose_abilities_cannot_be_compared_at_one_checkpoint_has_no_headline(tmp_path: Path) -> None:
    folder = tmp_path / write_run(tmp_path, BASE)
    run = read_run_folder(folder, folder_digest(folder))
    table = run.checkpoints[20]["abilities.parquet"]
    run.checkpoints[20]["abilities.parquet"] = table.slice(1)
    found = aggregate_run(run).headline
    assert found.effective_edits == Interval(None) and found.quality == {}


def test_edits_until_are_interpolated_between_checkpoints(tmp_path: Path) -> None:
    found = aggregated(tmp_path, replace(BASE, half=20))
    at = {edits: h(found, edits) for edits in (10, 20, 40)}
    before, after = (10, 20) if at[20] < 0.5 else (20, 40)
    assert at[after] < 0.5 <= at[before]
    expected = before + (after - before) * (at[before] - 0.5) / (at[before] - at[after])
    value = found.headline.until[0.5]
    assert value.edits == pytest.approx(expected) and value.censored_at is None
    assert value.low is not None and value.low <= expected
    score = {edits: values(found, edits, "all")["score_argmax"].value or 0.0 for edits in (10, 20, 40)}
    limit = 0.8 * score[10]
    before, after = (10, 20) if score[20] < limit else (20, 40)
    expected = before + (after - before) * (score[before] - limit) / (score[before] - score[after])
    assert found.headline.relative["editing"].edits == pytest.approx(expected)


def test_run_that_never_falls_is_open_and_its_effective_edits_are_a_number(tmp_path: Path) -> None:
    found = aggregated(tmp_path, replace(BASE, half=1e6, abilities_half=1e6))
    assert (found.status, found.edits_done) == ("complete", 40)
    value = found.headline.until[0.5]
    assert value.edits is None and value.censored_at == 40 and value.high is None
    assert found.headline.effective_edits.value is not None and 30 < found.headline.effective_edits.value < 40


def test_checkpoints_after_a_collapse_count_as_nothing(tmp_path: Path) -> None:
    run = replace(BASE, half=1e6, abilities_half=1e6, status="collapsed", stops_at=30)
    found = aggregated(tmp_path, run)
    assert (found.status, found.edits_done, found.imputed) == ("collapsed", 30, (40,))
    zero = values(found, 40, "all")
    assert {"quality", "score_argmax", "score_preference", "efficacy_argmax"} <= set(zero)
    assert all((i.value, i.low, i.high, i.n) == (0.0, 0.0, 0.0, 40) for i in zero.values())
    assert values(found, 40, "")["abilities_kept"].value == 0
    assert all(row.imputed == (row.edits == 40) for row in found.metrics)
    at = {edits: h(found, edits) for edits in (10, 20)}
    expected = 10 * at[10] + 10 * (at[10] + at[20]) / 2 + 10 * at[20] / 2
    assert found.headline.effective_edits.value == pytest.approx(expected), "0 stands at the 30 edits of the collapse"
    assert found.headline.until[0.5].edits == pytest.approx(20 + 10 * (at[20] - 0.5) / at[20])


def test_nothing_exceeds_the_edits_before_a_collapse(tmp_path: Path) -> None:
    run = replace(BASE, half=1e6, abilities_half=1e6, status="collapsed", stops_at=20, checkpoints=(0, 10, 20, 400))
    found = aggregated(tmp_path, run).headline
    assert found.effective_edits.high is not None and 15 < found.effective_edits.high < 20
    for value in (*found.until.values(), *found.relative.values()):
        assert value.edits == 20 and (value.high is None or value.high <= 20)


def test_collapse_before_the_first_checkpoint(tmp_path: Path) -> None:
    found = aggregated(tmp_path, replace(BASE, status="collapsed", stops_at=0))
    assert found.imputed == (10, 20, 40)
    assert found.headline.effective_edits.value == 0
    assert {value.edits for value in (*found.headline.until.values(), *found.headline.relative.values())} == {0}


def test_partial_and_failed_runs_have_what_they_reached(tmp_path: Path) -> None:
    for status in ("partial", "failed"):
        found = aggregated(tmp_path / status, replace(BASE, half=1e6, abilities_half=1e6, status=status, stops_at=20))
        assert (found.status, found.edits_done, found.imputed) == (status, 20, ())
        assert found.headline.until[0.5].censored_at == 20
        assert found.headline.effective_edits.value is not None and found.headline.effective_edits.value < 20
        assert found.reason == (None if status == "partial" else "the editor raised ValueError: no keys")


def test_sample_of_cases_is_respected(tmp_path: Path) -> None:
    """The synthetic folder scores everything, the spec asks for less: that is not the run of this spec."""
    folder = tmp_path / write_run(tmp_path, replace(BASE, sample=5))
    run = read_run_folder(folder, "")
    assert not run.checkpoints and all("the spec asks for 5" in problem.message for problem in run.problems)
