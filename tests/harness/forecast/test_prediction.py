"""How long runs take, told beforehand: by hand, from what their parts cost."""

from pathlib import Path

import pytest

from palimpsest.harness.forecast.history import past_costs
from palimpsest.harness.forecast.prediction import Costs, predict_run, scored_cases, shares_pristine
from palimpsest.harness.specs.run_spec import Generation, Scoring
from tests.labs.run_lab import SHORT, copied, spec

COSTS = Costs(
    seconds_batch=3.0,
    seconds_case=0.01,
    seconds_abilities=4.0,
    seconds_checkpoint=0.5,
    seconds_texts=0.1,
    seconds_start=5.0,
    seconds_prepare=1.0,
    seconds_statistics=2.0,
    seconds_save=0.25,
    bytes_save=1000,
    peak_memory_mb=600.0,
)


def test_a_prediction_is_the_sum_of_its_parts(tmp_path: Path) -> None:
    planned = spec({}, edits=20, batch_size=8, checkpoints=(0, 8, 20))
    found = predict_run(tmp_path, planned, COSTS, pristine_is_there=False)
    assert found.parts == {
        "start": 5.0,
        "statistics": 2.0,
        "prepare": 1.0,
        "edits": 9.0,
        "scoring": pytest.approx(3 * 0.5 + 0.01 * (20 + 8 + 20)),
        "texts": 0.0,
        "abilities": 12.0,
        "saves": 0.5,
    }
    assert found.seconds == pytest.approx(sum(found.parts.values())) and found.peak_memory_mb == 600
    shared = predict_run(tmp_path, planned, COSTS, pristine_is_there=True)
    assert found.seconds - shared.seconds == pytest.approx(0.5 + 0.2 + 4)
    assert (
        scored_cases(planned.model_copy(update={"scoring": planned.scoring.model_copy(update={"sample": 5})}), 20) == 15
    )


def test_a_finished_run_costs_nothing_more(whole: Path, tmp_path: Path) -> None:
    copied(whole, tmp_path)
    assert predict_run(tmp_path, spec({}, **SHORT), COSTS, pristine_is_there=True).seconds == 0


def test_runs_that_ask_the_unedited_model_the_same_share_it() -> None:
    one, other = spec({}), spec({"rate": 0.1})
    assert shares_pristine(other, [one]) and not shares_pristine(other, [])
    assert not shares_pristine(spec({}, edits=4, checkpoints=(0, 4)), [one])


def test_past_runs_of_the_same_editor_and_model_say_what_parts_cost(whole: Path, tmp_path: Path) -> None:
    copied(whole, tmp_path)
    other = spec({"rate": 0.2}, edits=8, batch_size=2, checkpoints=(0, 8))
    costs = past_costs(tmp_path, other)
    assert costs is not None and costs.seconds_batch > 0 and costs.seconds_case > 0
    assert 0 < predict_run(tmp_path, other, costs, pristine_is_there=False).seconds < 60
    assert past_costs(tmp_path / "empty", other) is None


def test_sampled_texts_are_part_of_a_prediction(tmp_path: Path) -> None:
    asked = spec().model_copy(update={"scoring": Scoring(generation=Generation(cases=5))})
    found = predict_run(tmp_path, asked, COSTS, pristine_is_there=False)
    assert found.parts["texts"] == pytest.approx(0.1 * (5 + 2 + 4 + 5))
