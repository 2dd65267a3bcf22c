"""One tuning procedure for every editor, with the same budget: `palimpsest tune`.

Each editor names a grid of at most `BUDGET` configurations. Every one edits the same requests of a tuning split, which
shares no subject with the benchmark; the objective is the harmonic mean of the final argmax score over all edits and
the share of general abilities kept (at most all). The best becomes the preset, and every trial is written down.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from palimpsest.harness.errors import ConfigError, EditorError
from palimpsest.harness.system.locks import alone

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
    limit: int = field(default_factory=lambda: ABILITY_LIMIT)
    """Items of each task, at most."""

    @property
    def usual(self) -> bool:
        """True for the abilities that every shipped preset was tuned with."""
        return self.names == USUAL

    def identity(self) -> list[dict[str, Any]]:
        """Everything that decides their items."""
        return [ref.model_dump() for ref in self._refs()]

    def pristine(self, loaded: LoadedModel) -> Sequence[AbilityOutcome]:
        """Scores of the unedited model, measured once for all trials where the model has a cache.

        Raises:
            ConfigError: Nothing above guessing, so that there is nothing to keep.
        """
        from palimpsest.harness.runs.instruments import AbilityRounds, scoring_environment
        from palimpsest.harness.runs.pristine_scores import PristineAbilities

        cache = loaded.resources.folder
        known = None if cache is None else PristineAbilities(cache, scoring_environment(loaded, "cpu"))
        with alone(cache, "abilities"):
            outcomes = AbilityRounds(self.harness(loaded), self._refs(), known)(0, ())
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
        return self.library.refs(self.names, self.limit)


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
    schedule: tuple[int, int],
) -> Trial:
    """Edit the tuning split with one configuration, score it, and put the pristine weights back.

    ``schedule`` is the number of edits, and how many of them make a batch.
    """
    from palimpsest.harness.metrics.abilities_kept import abilities_kept
    from palimpsest.harness.metrics.probes import Outcomes, aggregate, case_table, main_score
    from palimpsest.harness.plugins.configuration import build_editor, resolve_config
    from palimpsest.harness.plugins.guard import seed_everything
    from palimpsest.harness.scoring.probes import score_cases

    started = time.monotonic()
    edits, batch_size = schedule
    cases = task.cases[:edits]
    score, kept, failure = 0.0, 0.0, None
    try:
        editor = build_editor(editor_name, resolve_config(editor_name, loaded.model.name, config))
        editor.prepare(loaded.model)
        for index, start in enumerate(range(0, len(cases), batch_size)):
            seed_everything(0, index)
            editor.edit([case.request for case in cases[start : start + batch_size]])
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
