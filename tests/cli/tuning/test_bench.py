"""Trials done on a pocket model: what is measured, when one is stopped, and that the model is left as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from palimpsest.cli.tuning import bench as benches
from palimpsest.cli.tuning.abilities import AbilityChoice
from palimpsest.cli.tuning.bench import Bench
from palimpsest.cli.tuning.protocol import Horizon
from palimpsest.editors.ft_l import FineTuneBoxed
from palimpsest.harness.editor import EditReport
from palimpsest.harness.errors import EditorError
from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.model.digests import parameter_digests
from palimpsest.harness.runs.loaded_model import LoadedModel, load
from palimpsest.harness.specs.cases import EditRequest
from palimpsest.tasks.registry import load_task
from tests.labs.installed import INSTALLED

HORIZON = Horizon(6, 2, (2, 4, 6))
TASK = load_task("pocket-counterfact-tuning")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load(resolve("pocket-gpt2"), tmp_path_factory.mktemp("home"), texts=INSTALLED.texts)


@pytest.fixture(scope="module")
def bench(loaded: LoadedModel) -> Bench:
    return Bench(loaded, TASK, AbilityChoice(INSTALLED.abilities, limit=20), HORIZON)


@pytest.fixture(autouse=True)
def left_pristine(loaded: LoadedModel) -> Iterator[None]:
    yield
    assert parameter_digests(loaded.model.model) == loaded.digests


def by_hand(edits: Sequence[int], values: Sequence[float]) -> float:
    """The area under straight lines from the first value, held from 0 on."""
    area = edits[0] * values[0]
    for i in range(1, len(edits)):
        area += (edits[i] - edits[i - 1]) * (values[i] + values[i - 1]) / 2
    return area


CONFIG = {"norm_constraint": 0.05, "layer": 0}


def test_a_trial_has_the_effective_edits_of_its_checkpoints(bench: Bench) -> None:
    trial = bench.trial("ft-l", CONFIG)
    assert [point.edits for point in trial.points] == [2, 4, 6] and trial.complete
    held = [(point.quality or 0.0) / 100 for point in trial.points]
    assert 0 < trial.effective_edits == pytest.approx(by_hand([2, 4, 6], held), abs=1e-3)
    assert len(trial.draws) == 100 and np.ptp(trial.draws) > 0
    assert bench.trial("ft-l", CONFIG).draws == trial.draws


def test_a_trial_that_cannot_come_up_to_the_best_is_stopped_at_a_checkpoint(bench: Bench) -> None:
    whole = bench.trial("ft-l", CONFIG)
    stopped = bench.trial("ft-l", CONFIG, to_beat=1e9)
    assert stopped.stopped_at == 2 and stopped.points == whole.points[:1] and not stopped.draws
    assert stopped.at_most == pytest.approx(6 * (whole.points[0].quality or 0.0) / 100, abs=1e-3)
    assert bench.trial("ft-l", CONFIG, to_beat=0.0).complete


def test_nothing_is_held_from_a_failure_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real, batches = FineTuneBoxed.edit, []

    def edit(self: FineTuneBoxed, requests: Sequence[EditRequest]) -> EditReport:
        batches.append(len(requests))
        if len(batches) == 3:
            raise EditorError("no more")
        return real(self, requests)

    monkeypatch.setattr(FineTuneBoxed, "edit", edit)
    trial = bench.trial("ft-l", CONFIG)
    assert trial.collapsed_at == 4 and "no more" in str(trial.failure) and trial.complete
    held = [(point.quality or 0.0) / 100 for point in trial.points]
    assert trial.effective_edits == pytest.approx(by_hand([2, 4], held), abs=1e-3)


def test_filters_are_tried_around_the_host_that_is_given(bench: Bench) -> None:
    host = {"layer": 0, "norm_constraint": 0.05}
    near = bench.trial("rect(ft-l)", {"kept_share": 1.0}, host)
    assert near.effective_edits == bench.trial("ft-l", host).effective_edits


def test_the_unedited_model_is_scored_once(loaded: LoadedModel, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palimpsest.harness.scoring.probes.score_cases", None)
    again = Bench(loaded, TASK, AbilityChoice(INSTALLED.abilities, limit=20), HORIZON)
    (one,), (other,) = ([*b._unedited.values.values()] for b in (bench, again))
    assert np.array_equal(one, other, equal_nan=True) and len(one) == 6
    folder = loaded.resources.folder
    assert folder is not None and len(list((folder / "tuning").iterdir())) == 1


def test_a_damaged_score_of_the_unedited_model_is_measured_again(tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    for text in ("{", "3", "[1]"):
        file.write_text(text)
        assert benches._read(file) is None
