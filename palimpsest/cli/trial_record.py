"""The record of a tuning: which trials are known, which are left, and those done one after another."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.harness.authoring import tuning
from palimpsest.harness.authoring.tuning import AbilityChoice, Trial, configurations, run_trial
from palimpsest.harness.errors import ConfigError, first_line
from palimpsest.harness.plugins.configuration import resolve_config, without_host
from palimpsest.harness.specs.composition import parse
from palimpsest.harness.system.atomic_files import atomic_write_json

if TYPE_CHECKING:
    from palimpsest.harness.runs.loaded_model import LoadedModel
    from palimpsest.harness.specs.cases import EditTask
    from palimpsest.harness.specs.run_spec import ModelRef


class Tuning:
    """The trials of one tuning: those that are recorded, and those that are left."""

    def __init__(
        self,
        editor_name: str,
        model: ModelRef,
        task: EditTask,
        grid: Mapping[str, Sequence[Any]],
        record: Path,
        abilities: AbilityChoice,
        statistics: str | None = None,
    ) -> None:
        """Read what ``record``, a JSON file that is extended, knows of the trials of ``grid`` (field → values).

        ``statistics`` is the hash of key statistics that are used in place of the model's own.

        Raises:
            ConfigError: The grid is too large, or the record is none.
        """
        self._record = record
        self._combinations = configurations(grid)
        self._identity = _identity(editor_name, model, task)
        self._identity |= {} if abilities.usual else {"abilities": abilities.identity()}
        self._identity |= {} if statistics is None else {"statistics": statistics}
        self._known = {_key(trial.config): trial for trial in _read(record, self._identity)}

    @property
    def left(self) -> list[dict[str, Any]]:
        """Configurations that were not tried yet."""
        return [config for config in self._combinations if _key(config) not in self._known]

    @property
    def trials(self) -> list[Trial]:
        """The trials so far, in grid order."""
        return [self._known[_key(config)] for config in self._combinations if _key(config) in self._known]

    def number(self, trial: Trial) -> int:
        """Place of a trial in the grid, from 1."""
        return self._combinations.index(trial.config) + 1

    def add(self, trial: Trial) -> None:
        """Record a trial."""
        self._known[_key(trial.config)] = trial
        _write(self._record, self._identity, self.trials)


def tune(
    study: Tuning,
    loaded: LoadedModel,
    task: EditTask,
    editor_name: str,
    report: Callable[[Trial], None],
    *,
    abilities: AbilityChoice,
) -> list[Trial]:
    """Do the trials that are left, one after another, and record each at once; all trials in grid order.

    The model is pristine and left pristine; ``report`` is called with each trial that is done.
    """
    left = study.left
    pristine = abilities.pristine(loaded) if left else ()
    for config in left:
        trial = run_trial(loaded, task, editor_name, config, pristine, abilities, (tuning.EDITS, tuning.BATCH_SIZE))
        study.add(trial)
        report(trial)
    return study.trials


def _key(config: Mapping[str, Any]) -> str:
    return json.dumps(config, sort_keys=True)


def _identity(editor_name: str, model: ModelRef, task: EditTask) -> dict[str, Any]:
    """Identity of trials: those of another editor, host, model or split are not taken over."""
    identity = {
        "editor": editor_name,
        "model": model.name,
        "model_fingerprint": model.fingerprint,
        "task": task.name,
        "task_hash": task.content_hash,
        "edits": tuning.EDITS,
        "batch_size": tuning.BATCH_SIZE,
    }
    if len(parse(editor_name)) > 1:
        identity["host"] = without_host(editor_name, resolve_config(editor_name, model.name, {}))[1]
    return identity


def _read(record: Path, identity: Mapping[str, Any]) -> list[Trial]:
    if not record.is_file():
        return []
    try:
        stored = json.loads(record.read_text(encoding="utf-8"))
        trials = [Trial(**trial) for trial in stored.pop("trials", [])]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{record}: is no record of trials ({first_line(error)}). Move it away to tune anew."
        ) from error
    return trials if stored == identity else []


def _write(record: Path, identity: Mapping[str, Any], trials: Sequence[Trial]) -> None:
    atomic_write_json(record, {**identity, "trials": [asdict(trial) for trial in trials]})
