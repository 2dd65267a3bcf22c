"""Aggregates against plain re-computations from the same outcomes, and the rules for collapsed and unfinished runs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.parquet as pq
import pytest

from palimpsest.results.analysis.aggregate import Aggregates, aggregate_run
from palimpsest.results.reading.run_folder import folder_digest, read_run_folder
from palimpsest.results.records import EnduranceValue, Interval
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


def test_abilities_kept_compare_with_the_pristine_model(tmp_path: Path) -> None:
    found = aggregated(tmp_path, BASE)
    assert values(found, 0, "")["abilities_kept"].value == pytest.approx(100)
    scores = {(row.edits, row.ability): row.interval.value or 0.0 for row in found.abilities}
    shares = [
        max(0, (scores[40, name] - 100 * chance) / (scores[0, name] - 100 * chance))
        for name, chance in ABILITIES.items()
    ]
    kept = values(found, 40, "")["abilities_kept"]
    assert kept.value == pytest.approx(100 * fmean(shares)) and kept.n == 240


def test_without_the_pristine_model_nothing_is_kept_or_lost(tmp_path: Path) -> None:
    found = aggregated(tmp_path, replace(BASE, checkpoints=(10, 20, 40)))
    assert not any(row.metric == "abilities_kept" for row in found.metrics)
    assert found.abilities and found.endurance["abilities", 0.8] == EnduranceValue()
    assert found.endurance["both", 0.8].edits == found.endurance["editing", 0.8].edits


def test_endurance_is_interpolated_between_checkpoints(tmp_path: Path) -> None:
    found = aggregated(tmp_path, replace(BASE, half=20))
    score = {edits: values(found, edits, "all")["score_argmax"].value or 0.0 for edits in (10, 20, 40)}
    limit = 0.8 * score[10]
    before, after = (10, 20) if score[20] < limit else (20, 40)
    assert score[after] < limit
    expected = before + (after - before) * (score[before] - limit) / (score[before] - score[after])
    value = found.endurance["editing", 0.8]
    assert value.edits == pytest.approx(expected) and value.censored_at is None
    assert value.low is not None and value.low <= expected


def test_run_that_outlasts_the_schedule_is_open(tmp_path: Path) -> None:
    found = aggregated(tmp_path, replace(BASE, half=1e6, abilities_half=1e6))
    assert (found.status, found.edits_done) == ("complete", 40)
    value = found.endurance["both", 0.5]
    assert value.edits is None and value.censored_at == 40 and value.high is None


def test_checkpoints_after_a_collapse_count_as_nothing(tmp_path: Path) -> None:
    run = replace(BASE, half=1e6, abilities_half=1e6, status="collapsed", stops_at=30)
    found = aggregated(tmp_path, run)
    assert (found.status, found.edits_done, found.imputed) == ("collapsed", 30, (40,))
    zero = values(found, 40, "all")
    assert {"score_argmax", "score_preference", "efficacy_argmax"} <= set(zero)
    assert all((i.value, i.low, i.high, i.n) == (0.0, 0.0, 0.0, 40) for i in zero.values())
    assert values(found, 40, "")["abilities_kept"].value == 0
    assert all(row.imputed == (row.edits == 40) for row in found.metrics)
    endurance, half_life = found.endurance["both", 0.8], found.endurance["both", 0.5]
    assert endurance.edits == pytest.approx(24, abs=2)  # a fifth of the way from 20 to 40
    assert half_life.edits == pytest.approx(30, abs=1)


def test_endurance_never_exceeds_the_edits_before_a_collapse(tmp_path: Path) -> None:
    run = replace(BASE, half=1e6, abilities_half=1e6, status="collapsed", stops_at=20, checkpoints=(0, 10, 20, 400))
    found = aggregated(tmp_path, run)
    for value in found.endurance.values():
        assert value.edits == 20 and (value.high is None or value.high <= 20)


def test_collapse_before_the_first_checkpoint(tmp_path: Path) -> None:
    found = aggregated(tmp_path, replace(BASE, status="collapsed", stops_at=0))
    assert found.imputed == (10, 20, 40)
    assert found.endurance["editing", 0.8].edits == 0 and found.endurance["both", 0.8].edits == 0
    assert found.endurance["abilities", 0.8].edits == 0


def test_partial_and_failed_runs_have_what_they_reached(tmp_path: Path) -> None:
    for status in ("partial", "failed"):
        found = aggregated(tmp_path / status, replace(BASE, half=1e6, abilities_half=1e6, status=status, stops_at=20))
        assert (found.status, found.edits_done, found.imputed) == (status, 20, ())
        assert found.endurance["both", 0.8].censored_at == 20
        assert found.reason == (None if status == "partial" else "the editor raised ValueError: no keys")


def test_sample_of_cases_is_respected(tmp_path: Path) -> None:
    """The synthetic folder scores everything, the spec asks for less: that is not the run of this spec."""
    folder = tmp_path / write_run(tmp_path, replace(BASE, sample=5))
    run = read_run_folder(folder, "")
    assert not run.checkpoints and all("the spec asks for 5" in problem.message for problem in run.problems)
