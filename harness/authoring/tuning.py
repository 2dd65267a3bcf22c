"""One tuning procedure for every editor, with the same budget: `palimpsest tune`.

Each editor names a grid of at most `BUDGET` configurations. Every one edits the same requests of a tuning split, which
shares no subject with the benchmark; the objective is the harmonic mean of the final argmax score over all edits and
the share of general abilities kept (at most all). The best becomes the preset, and every trial is written down.
"""

from __future__ import annotations

import itertools
import json
import math
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.harness.errors import ConfigError, EditorError, first_line
from palimpsest.harness.specs.composition import parse

if TYPE_CHECKING:
    from palimpsest.harness.abilities.ability_harness import AbilityHarness
    from palimpsest.harness.abilities.items import AbilityFinder, AbilityOutcome
    from palimpsest.harness.runs.loaded_model import LoadedModel
    from palimpsest.harness.specs.cases import EditTask
    from palimpsest.harness.specs.run_spec import AbilityRef

BUDGET = 6
"""Trials that every editor may have."""
EDITS = 200
BATCH_SIZE = 50
ABILITY_LIMIT = 100
USUAL = ("pocket",)
"""Abilities that the shipped presets were tuned to keep."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration and what it reached on the tuning split."""

    config: dict[str, Any]
    """The values that the grid varied."""
    score_argmax: float
    """Harmonic score of all tuning edits after the last, percent."""
    abilities_kept: float
    """Abilities above chance, percent of the unedited model's."""
    objective: float
    seconds: float
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class AbilityChoice:
    """The general abilities that a preset is to keep."""

    library: AbilityFinder
    """Finds them."""
    names: tuple[str, ...] = USUAL

    @property
    def usual(self) -> bool:
        """True for the abilities that every shipped preset was tuned with."""
        return self.names == USUAL

    def identity(self) -> list[dict[str, Any]]:
        """Everything that decides their items."""
        return [ref.model_dump() for ref in self._refs()]

    def pristine(self, loaded: LoadedModel) -> list[AbilityOutcome]:
        """Scores of the unedited model.

        Raises:
            ConfigError: Nothing above guessing, so that there is nothing to keep.
        """
        outcomes = self.harness(loaded).evaluate()
        if not any(outcome.score > outcome.chance for outcome in outcomes):
            raise ConfigError(
                f"{loaded.model.name} answers nothing of {', '.join(self.names)} better than by guessing, so there is "
                "nothing to keep. Choose other abilities with --abilities."
            )
        return outcomes

    def harness(self, loaded: LoadedModel) -> AbilityHarness:
        """Asks the model.

        Raises:
            ConfigError: There are none.
        """
        harness = loaded.abilities(self._refs(), self.library)
        if harness is None:
            raise ConfigError(f"The abilities {', '.join(self.names)} hold no task; the objective needs one.")
        return harness

    def _refs(self) -> tuple[AbilityRef, ...]:
        return self.library.refs(self.names, ABILITY_LIMIT)


def configurations(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """All combinations of the grid's values, in a fixed order.

    Raises:
        ConfigError: If there are more than `BUDGET`.
    """
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    if len(combinations) > BUDGET:
        raise ConfigError(f"The grid has {len(combinations)} combinations; every editor may have {BUDGET}.")
    return combinations


def objective(score_argmax: float, abilities_kept: float) -> float:
    """Harmonic mean of score and kept share, both percent and the latter at most 100, as a share; 0 if either is 0."""
    score, kept = score_argmax / 100, min(1.0, abilities_kept / 100)
    return 0.0 if score <= 0 or kept <= 0 else 2 * score * kept / (score + kept)


def tune(
    loaded: LoadedModel,
    task: EditTask,
    editor_name: str,
    grid: Mapping[str, Sequence[Any]],
    record: Path,
    report: Callable[[int, Trial], None],
    *,
    abilities: AbilityChoice,
    statistics: str | None = None,
) -> list[Trial]:
    """Run every configuration of ``grid`` and write each result to ``record`` at once; known ones are not run again.

    Args:
        loaded: The pristine model; left pristine.
        task: The tuning split.
        editor_name: A registered editor, or a composition by its canonical name.
        grid: Field → values.
        record: JSON file of trials, read first and extended.
        report: Called with (number, trial) after each.
        abilities: What is to be kept.
        statistics: Hash of the key statistics that the model was loaded with in place of its own.

    Returns:
        The trials in grid order.
    """
    combinations = configurations(grid)
    pristine: Sequence[AbilityOutcome] | None = None
    asked = abilities
    identity = _identity(editor_name, loaded, task) | ({} if asked.usual else {"abilities": asked.identity()})
    identity |= {} if statistics is None else {"statistics": statistics}
    known = {_key(trial.config): trial for trial in _read(record, identity)}
    for number, config in enumerate(combinations, 1):
        if _key(config) not in known:
            pristine = pristine or asked.pristine(loaded)
            known[_key(config)] = run_trial(loaded, task, editor_name, config, pristine, asked)
            _write(record, identity, [known[_key(c)] for c in combinations if _key(c) in known])
        report(number, known[_key(config)])
    return [known[_key(config)] for config in combinations]


def best(trials: Sequence[Trial]) -> Trial:
    """The trial with the highest objective; the earlier one in the grid if several share it."""
    return max(trials, key=lambda trial: trial.objective)


def run_trial(
    loaded: LoadedModel,
    task: EditTask,
    editor_name: str,
    config: dict[str, Any],
    pristine: Sequence[AbilityOutcome],
    abilities: AbilityChoice,
) -> Trial:
    """Edit the tuning split with one configuration, score it, and put the pristine weights back."""
    from palimpsest.harness.metrics.abilities_kept import abilities_kept
    from palimpsest.harness.metrics.probes import Outcomes, aggregate, case_table, main_score
    from palimpsest.harness.plugins.configuration import build_editor, resolve_config
    from palimpsest.harness.plugins.guard import seed_everything
    from palimpsest.harness.scoring.probes import score_cases

    started = time.monotonic()
    cases = task.cases[:EDITS]
    score, kept, failure = 0.0, 0.0, None
    try:
        editor = build_editor(editor_name, resolve_config(editor_name, loaded.model.name, config))
        editor.prepare(loaded.model)
        for index, start in enumerate(range(0, len(cases), BATCH_SIZE)):
            seed_everything(0, index)
            editor.edit([case.request for case in cases[start : start + BATCH_SIZE]])
        with editor.evaluated():
            outcomes = Outcomes.from_records(score_cases(loaded.model, cases))
            score = aggregate(case_table(outcomes, task.form))[main_score(task.form)]
            after = abilities.harness(loaded).evaluate()
        scored = [
            (now.score, then.score, then.chance, len(then.items)) for now, then in zip(after, pristine, strict=True)
        ]
        found = abilities_kept(*zip(*scored, strict=True))
        kept = 100.0 if math.isnan(found) else found  # no task counts: there is none to be lost
    except EditorError as error:
        failure = str(error)
    finally:
        loaded.restored()
    reached = objective(score, kept)
    seconds = round(time.monotonic() - started, 1)
    return Trial(config, round(score, 4), round(kept, 6), round(reached, 6), seconds, failure)


def preset_text(
    editor_name: str,
    model_name: str,
    task_name: str,
    settings: Mapping[str, Any],
    trial: Trial,
    options: Sequence[str] = (),
) -> str:
    """The preset file of the best trial: every field that is set, with what was tuned and what was fixed.

    Args:
        editor_name: As it was tuned.
        model_name: On which model.
        task_name: On which task.
        settings: Every field of the preset.
        trial: The best one.
        options: Further words of the command that was given.
    """
    command = shlex.join(["palimpsest", "tune", editor_name, "--model", model_name, *options])
    lines = [
        f"# {editor_name} on {model_name}: the best of `{command}`",
        f"# ({EDITS} edits of {task_name} in batches of {BATCH_SIZE}; every trial is in the file beside this one):",
        f"# score {trial.score_argmax:.1f} (argmax), abilities kept {trial.abilities_kept:.1f} %.",
    ]
    for name, value in settings.items():
        if value is None:
            continue  # TOML has no null; the default stands
        note = "  # tuned" if name in trial.config else ""
        lines.append(f"{name} = {json.dumps(value)}{note}")
    return "\n".join(lines) + "\n"


def _key(config: Mapping[str, Any]) -> str:
    return json.dumps(config, sort_keys=True)


def _identity(editor_name: str, loaded: LoadedModel, task: EditTask) -> dict[str, Any]:
    """Identity of trials: those of another editor, host, model or split are not taken over."""
    from palimpsest.harness.plugins.configuration import resolve_config, without_host

    identity = {
        "editor": editor_name,
        "model": loaded.model.name,
        "model_fingerprint": loaded.fingerprint,
        "task": task.name,
        "task_hash": task.content_hash,
        "edits": EDITS,
        "batch_size": BATCH_SIZE,
    }
    if len(parse(editor_name)) > 1:
        identity["host"] = without_host(editor_name, resolve_config(editor_name, loaded.model.name, {}))[1]
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
    from palimpsest.harness.system.atomic_files import atomic_write_json

    atomic_write_json(record, {**identity, "trials": [asdict(trial) for trial in trials]})
