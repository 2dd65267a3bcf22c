"""Ability tasks asked of the model in memory, and what their outcomes depend on besides the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.harness.system.environment import environment_segment
from palimpsest.harness.system.source_digest import digest_of, files_below

if TYPE_CHECKING:
    from palimpsest.harness.abilities.ability_harness import AbilityHarness
    from palimpsest.harness.abilities.items import AbilityOutcome
    from palimpsest.harness.runs.loaded_model import LoadedModel
    from palimpsest.harness.runs.pristine_scores import PristineAbilities
    from palimpsest.harness.specs.cases import Case
    from palimpsest.harness.specs.run_spec import AbilityRef

_HARNESS = Path(__file__).resolve().parent.parent
_SCORING_CODE = (
    *("model", "scoring", "abilities", "specs/cases.py", "specs/windows.py", "metrics/probes.py"),
    *("runs/score_files.py", "runs/layout.py"),
)
"""Files and whole rooms of the harness that scores of an unedited model depend on."""
_CANARIES = 8


@dataclass(frozen=True, slots=True)
class AbilityRounds:
    """Asks the ability tasks of one run; to be called as `Instruments.abilities`."""

    harness: AbilityHarness | None
    """None: the run has no ability tasks."""
    refs: tuple[AbilityRef, ...] = ()
    pristine: PristineAbilities | None = None
    """Outcomes of single tasks on the unedited model, remembered between runs; None: always asked."""

    def __call__(self, edits: int, scored: Sequence[Case]) -> Sequence[AbilityOutcome]:
        """Outcomes of the tasks after ``edits`` edits; those of the unedited model are measured once per task.

        The last of the cases just scored show an engine with weights of its own that it has the edits.
        """
        if self.harness is None:
            return ()
        if edits or self.pristine is None:
            requests = [case.request for case in scored[-_CANARIES:]]
            texts = [f"{r.prompt.format(r.subject)} {r.target_new}" for r in requests]
            return self.harness.evaluate(canary_texts=texts)
        return self._remembered(self.harness, self.pristine)

    def _remembered(self, harness: AbilityHarness, pristine: PristineAbilities) -> Sequence[AbilityOutcome]:
        hashes = harness.items_hashes
        known = {ref.name: pristine.find(ref, hashes[ref.name]) for ref in self.refs}
        new = harness.evaluate([name for name, outcome in known.items() if outcome is None])
        for outcome in new:
            known[outcome.name] = outcome
            pristine.keep(next(ref for ref in self.refs if ref.name == outcome.name), outcome)
        return [outcome for outcome in known.values() if outcome is not None]


def scoring_environment(loaded: LoadedModel, device: str) -> dict[str, Any]:
    """Everything that may move scores of the unedited model in the last bits: versions, hardware, engine, our code."""
    segment = environment_segment(())
    names = ("palimpsest_version", "python", "cpu", "threads", "gpu", "packages")
    return {
        **{name: segment[name] for name in names},
        **({"engine": loaded.engine_name} if loaded.engine_name != "hf" else {}),
        "device": device,
        "dtype": str(loaded.model.model.dtype),
        "sources": scoring_sources(_HARNESS),
    }


def scoring_sources(harness: Path) -> str:
    """SHA-256 over the code in the harness's folder that scores are made by."""
    return digest_of([file for part in _SCORING_CODE for file in files_below(harness / part)], harness)
