"""One tuning procedure: same budget for all, trials recorded and not repeated, the model left as it was."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from palimpsest.cli import trial_record
from palimpsest.cli.preset_text import preset_text
from palimpsest.cli.trial_record import Tuning, tune
from palimpsest.harness.authoring import tuning
from palimpsest.harness.authoring.tuning import (
    AbilityChoice,
    Trial,
    best,
    configurations,
    objective,
)
from palimpsest.harness.errors import ConfigError
from palimpsest.harness.model.catalogue import fingerprint, resolve
from palimpsest.harness.model.digests import parameter_digests
from palimpsest.harness.plugins.configuration import resolve_config, without_host
from palimpsest.harness.runs.loaded_model import LoadedModel, load
from palimpsest.harness.specs.run_spec import ModelRef
from palimpsest.tasks.registry import load_task
from tests.labs.installed import INSTALLED

GRIDS = Path(__file__).resolve().parents[3] / "editors" / "presets" / "grids.toml"


def test_every_shipped_grid_uses_exactly_the_same_budget() -> None:
    grids = tomllib.loads(GRIDS.read_text(encoding="utf-8"))
    assert set(grids) >= {"memit", "memit-seq", "alphaedit", "ft-l"}
    assert {len(configurations(grid)) for grid in grids.values()} == {tuning.BUDGET}


def test_a_grid_beyond_the_budget_is_refused() -> None:
    with pytest.raises(ConfigError, match="8 combinations"):
        configurations({"a": [1, 2, 3, 4], "b": [1, 2]})


@pytest.mark.parametrize(("score", "kept", "expected"), [(0, 100, 0), (80, 0, 0), (80, 120, 8 / 9), (50, 50, 0.5)])
def test_objective_is_the_harmonic_mean_with_kept_share_at_most_all(score: float, kept: float, expected: float) -> None:
    assert objective(score, kept) == pytest.approx(expected)


def test_shipped_presets_are_the_best_of_their_recorded_trials() -> None:
    records = sorted(GRIDS.parent.glob("*/*.tuning.json"))
    assert len(records) >= 8
    for record in records:
        stored = json.loads(record.read_text(encoding="utf-8"))
        assert stored["model_fingerprint"] == fingerprint(resolve(stored["model"])), record
        assert stored["task_hash"] == load_task("pocket-counterfact-tuning").content_hash
        trials = [Trial(**trial) for trial in stored["trials"]]
        assert len(trials) == tuning.BUDGET
        preset = tomllib.loads(record.with_name(f"{stored['model']}.toml").read_text(encoding="utf-8"))
        assert {name: preset[name] for name in best(trials).config} == best(trials).config


def tuned(loaded: LoadedModel, record: Path, editor: str, grid: Mapping[str, Sequence[Any]]) -> list[Trial]:
    """All trials of a tuning; those that are not recorded are done."""
    task, abilities = load_task("pocket-counterfact-tuning"), AbilityChoice(INSTALLED.abilities)
    model = ModelRef(name=loaded.model.name, fingerprint=loaded.fingerprint)
    trials = Tuning(editor, model, task, grid, record, abilities)
    return tune(trials, loaded, task, editor, lambda trial: None, abilities=abilities)


def test_trials_are_recorded_resumed_and_leave_the_model_pristine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("EDITS", 4), ("BATCH_SIZE", 2), ("ABILITY_LIMIT", 2)):
        monkeypatch.setattr(tuning, name, value)
    loaded = load(resolve("pocket-gpt2"), tmp_path, texts=INSTALLED.texts)
    before = parameter_digests(loaded.model.model)
    record = tmp_path / "record.json"
    grid = {"norm_constraint": [1e-3, 1e-2]}
    first = tuned(loaded, record, "ft-l", grid)
    assert parameter_digests(loaded.model.model) == before
    monkeypatch.setattr(trial_record, "run_trial", None)  # a second call may not run anything
    again = tuned(loaded, record, "ft-l", grid)
    assert again == first and [trial.config for trial in first] == configurations(grid)
    text = preset_text("ft-l", "pocket-gpt2", "split", {"layer": 1, "norm_constraint": 0.01}, best(first))
    assert tomllib.loads(text) == {"layer": 1, "norm_constraint": 0.01}


def test_filters_are_tuned_around_their_host_with_its_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("EDITS", 2), ("BATCH_SIZE", 2), ("ABILITY_LIMIT", 2)):
        monkeypatch.setattr(tuning, name, value)
    loaded = load(resolve("pocket-gpt2"), tmp_path, texts=INSTALLED.texts)
    record, grid = tmp_path / "record.json", {"kept_share": [0.2, 0.5]}
    trials = tuned(loaded, record, "rect(ft-l)", grid)
    assert [trial.failure for trial in trials] == [None, None]
    assert json.loads(record.read_text())["host"] == resolve_config("ft-l", "pocket-gpt2", {})
    own, _ = without_host("rect(ft-l)", resolve_config("rect(ft-l)", "pocket-gpt2", trials[0].config))
    kept = tomllib.loads(preset_text("rect(ft-l)", "pocket-gpt2", "split", {**own, "unset": None}, trials[0]))
    assert kept == own and kept["kept_share"] == 0.2
    again: list[str] = []
    monkeypatch.setattr(trial_record, "run_trial", lambda loaded, task, name, *rest: again.append(name) or trials[0])
    tuned(loaded, record, "rect(ft-l)", grid)
    assert again == []
    tuned(loaded, record, "rect(memit)", grid)
    assert again == ["rect(memit)"] * 2  # another host, other trials
