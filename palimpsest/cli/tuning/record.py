"""One tuning with its record: the trials that are known, the one that comes next, and what is chosen in the end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.cli.tuning.axes import Axis
from palimpsest.cli.tuning.bench import complete_config
from palimpsest.cli.tuning.protocol import Horizon
from palimpsest.cli.tuning.search import Next, Search, key
from palimpsest.cli.tuning.trials import Trial
from palimpsest.harness.errors import ConfigError, first_line
from palimpsest.harness.plugins.configuration import without_host
from palimpsest.harness.system.atomic_files import atomic_write_text

if TYPE_CHECKING:
    from palimpsest.cli.tuning.abilities import AbilityChoice
    from palimpsest.harness.specs.cases import EditTask
    from palimpsest.harness.specs.run_spec import ModelRef

FORMAT = 2
"""Number of the records' form; those of form 1 had no number, and other trials."""


class Tuning:
    """The tuning of one editor on one model."""

    def __init__(
        self,
        editor: str,
        axes: Sequence[Axis],
        record: Path,
        *,
        budget: int,
        edits: int,
        little: float = 0.0,
        host: Mapping[str, Any] | None,
        identity: Mapping[str, Any],
    ) -> None:
        """Read what a record, a JSON file that is extended, knows.

        Args:
            editor: Complete, as `canonical_name` gives it.
            axes: Of the search, the most important first.
            record: The file.
            budget: Whole trials.
            edits: Of a whole trial.
            little: As `Search` takes it.
            host: Complete configuration of a filter's host; None: the editor has none.
            identity: From `identity_of`; trials of another one are not taken over.

        Raises:
            ConfigError: The record is none, or the editor does not take a value of the axes.
        """
        self.editor = editor
        self.host = host
        self.record = record
        self._model = str(identity["model"])
        self._identity = {"format": FORMAT, "editor": editor, **identity, "fixed": self._fixed(axes), "host": host}
        self._budget = budget
        self._search = Search(axes, self._fits, budget, edits, little)
        self._known = {key(trial.config): trial for trial in _read(record, self._identity)}
        self._tried, self.next = self._search.replay(self._known)

    next: Next | None
    """The trial that comes next; None: there is none left."""

    @property
    def trials(self) -> list[Trial]:
        """The trials so far, in order."""
        return list(self._tried.values())

    @property
    def chosen(self) -> Trial:
        """Trial that the preset is made of, in a tuning that has one."""
        return self._search.chosen(self._tried)

    @property
    def optimum(self) -> dict[str, str]:
        """Axis → where the chosen value lies on it; see `Search.optimum`."""
        return self._search.optimum(self._tried, self.chosen)

    def add(self, trial: Trial) -> None:
        """Record a trial."""
        self._known[key(trial.config)] = trial
        self._tried, self.next = self._search.replay(self._known)
        self.write()

    def settings(self) -> dict[str, Any]:
        """Every field of the preset: of a filter only its own."""
        return without_host(self.editor, self.complete())[0]

    def complete(self) -> dict[str, Any]:
        """The complete configuration of what is chosen."""
        return complete_config(self.editor, self._model, self.chosen.config, self.host)

    def _fixed(self, axes: Sequence[Axis]) -> dict[str, Any]:
        """The editor's own fields that are not varied."""
        names = {axis.name for axis in axes}
        start = {axis.name: axis.value(axis.published) for axis in axes}
        own, _ = without_host(self.editor, complete_config(self.editor, self._model, start, self.host))
        return {name: value for name, value in own.items() if name not in names}

    def _fits(self, config: Mapping[str, Any]) -> bool:
        try:
            complete_config(self.editor, self._model, config, self.host)
        except ConfigError:
            return False
        return True

    def write(self) -> None:
        """Write the record, one line for each trial."""
        optimum = self.optimum
        axes = {
            axis.name: {
                "values": axis.values,
                "published": axis.value(axis.published),
                "optimum": optimum[axis.name],
            }
            for axis in self._search.axes
        }
        head = {
            **self._identity,
            "budget": self._budget,
            "axes": axes,
            "finished": self.next is None,
            "chosen": self.chosen.config,
        }
        lines = [f" {json.dumps(name)}: {json.dumps(value, allow_nan=False)}," for name, value in head.items()]
        trials = ",\n".join(f"  {json.dumps(asdict(trial), allow_nan=False)}" for trial in self.trials)
        atomic_write_text(self.record, "\n".join(["{", *lines, ' "trials": [', trials, " ]", "}"]) + "\n")


def identity_of(
    model: ModelRef, task: EditTask, horizon: Horizon, abilities: AbilityChoice, statistics: str | None
) -> dict[str, Any]:
    """Everything that trials depend on besides editor, host and configuration.

    Args:
        model: On which model.
        task: The tuning split.
        horizon: Edits of a trial.
        abilities: What is to be kept.
        statistics: Hash of key statistics that are used in place of the model's own.
    """
    return {
        "model": model.name,
        "model_fingerprint": model.fingerprint,
        "task": task.name,
        "task_hash": task.content_hash,
        **asdict(horizon),
        "ability_limit": abilities.limit,
        **({} if abilities.usual else {"abilities": abilities.identity()}),
        **({} if statistics is None else {"statistics": statistics}),
    }


def _read(record: Path, identity: Mapping[str, Any]) -> list[Trial]:
    """The trials of a record of this identity; none of another's."""
    if not record.is_file():
        return []
    try:
        stored = json.loads(record.read_text(encoding="utf-8"))
        if not isinstance(stored["trials"], list):
            raise TypeError("trials: expected a list")
        wanted = json.loads(json.dumps(identity))
        if {name: stored.get(name) for name in wanted} != wanted:
            return []
        return [Trial.read(trial) for trial in stored["trials"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"{record}: is no record of trials ({first_line(error)}). Move it away to tune anew."
        ) from error
