"""The general abilities that a preset is to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from palimpsest.cli.tuning import protocol
from palimpsest.harness.errors import ConfigError
from palimpsest.harness.system.locks import alone

if TYPE_CHECKING:
    from palimpsest.harness.abilities.ability_harness import AbilityHarness
    from palimpsest.harness.abilities.items import AbilityFinder, AbilityOutcome
    from palimpsest.harness.runs.loaded_model import LoadedModel
    from palimpsest.harness.specs.run_spec import AbilityRef

USUAL = ("pocket",)
"""Abilities that the presets of pocket models are tuned to keep."""


def usual_for(model: str) -> tuple[str, ...]:
    """The abilities to keep where nobody names any."""
    return USUAL if protocol.is_pocket(model) else ("plain",)


@dataclass(frozen=True, slots=True)
class AbilityChoice:
    """The general abilities that a preset is to keep."""

    library: AbilityFinder
    """Finds them."""
    names: tuple[str, ...] = USUAL
    limit: int | None = field(default_factory=lambda: protocol.ABILITY_LIMIT)
    """Items of each task, at most; None: all."""

    @property
    def usual(self) -> bool:
        """True for the abilities that all presets of pocket models are tuned with."""
        return self.names == USUAL

    def identity(self) -> list[dict[str, Any]]:
        """Everything that decides their items."""
        return [ref.model_dump() for ref in self._refs()]

    def pristine(self, loaded: LoadedModel) -> Sequence[AbilityOutcome]:
        """Outcomes of the unedited model, measured once for all trials where the model has a cache.

        Raises:
            ConfigError: Nothing above guessing, so that there is nothing to keep.
        """
        # Late: torch loads in 2 s, which --help and a wrong word need not wait for.
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
            raise ConfigError(f"The abilities {', '.join(self.names)} hold no task; tuning needs one.")
        return harness

    def _refs(self) -> tuple[AbilityRef, ...]:
        return self.library.refs(self.names, self.limit)
