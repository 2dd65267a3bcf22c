"""The real `Instruments`: batched scoring on the model in memory, ability tasks through an engine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.harness.abilities import ability_harness, engine, engine_model, items
from palimpsest.harness.diagnostics import norms
from palimpsest.harness.runs import score_files
from palimpsest.harness.scoring import generation, packing, probes, reference_tokenisation
from palimpsest.harness.specs import windows
from palimpsest.harness.system.environment import environment_segment

if TYPE_CHECKING:
    from palimpsest.harness.abilities.ability_harness import AbilityHarness
    from palimpsest.harness.abilities.items import AbilityOutcome
    from palimpsest.harness.metrics.probes import ProbeOutcome
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.runs.loaded_model import LoadedModel
    from palimpsest.harness.runs.pristine_scores import PristineAbilities
    from palimpsest.harness.scoring.generation import Continuation, SampledText
    from palimpsest.harness.scoring.probes import Answer, Continuations
    from palimpsest.harness.specs.cases import Case
    from palimpsest.harness.specs.run_spec import AbilityRef, Scoring

_SOURCES = (
    *(score_files, windows, probes, reference_tokenisation, packing, generation),
    *(ability_harness, items, engine_model, engine, norms),
)
_CANARIES = 8


@dataclass(slots=True)
class ModelInstruments:
    """Asks the model as it is."""

    model: EditableModel
    harness: AbilityHarness | None
    refs: tuple[AbilityRef, ...] = ()
    pristine: PristineAbilities | None = None
    """Outcomes of single ability tasks on the unedited model, remembered between runs."""
    _canary_texts: list[str] = field(default_factory=list)

    def windows(self, positions: int, sampling: Scoring, edits: int) -> Mapping[str, Sequence[int]]:
        """See `choose_windows`."""
        return windows.choose_windows(positions, sampling, edits)

    def score(
        self, cases: Sequence[Case], continuations: Continuations | None = None, *, reference_tokenisation: bool = False
    ) -> Sequence[ProbeOutcome]:
        """See `score_cases`."""
        requests = [case.request for case in cases[-_CANARIES:]]
        self._canary_texts = [f"{r.prompt.format(r.subject)} {r.target_new}" for r in requests]
        return probes.score_cases(
            self.model, cases, continuations=continuations, reference_tokenisation=reference_tokenisation
        )

    def answers(self, cases: Sequence[Case], seed: int) -> Sequence[Answer]:
        """See `sample_answers`."""
        return probes.sample_answers(self.model, cases, seed=seed)

    def texts(self, cases: Sequence[Case], scoring: Scoring) -> Sequence[SampledText]:
        """See `palimpsest.harness.scoring.generation.sample_texts`."""
        return generation.sample_texts(self.model, cases, scoring.generation, seed=scoring.seed)

    def continuations(self, cases: Sequence[Case]) -> Sequence[Continuation]:
        """See `palimpsest.harness.scoring.generation.continuations`."""
        return generation.continuations(self.model, cases)

    def abilities(self, edits: int) -> Sequence[AbilityOutcome]:
        """Outcomes of the run's ability tasks; those of the unedited model are measured once per task."""
        if self.harness is None:
            return ()
        if edits or self.pristine is None:
            return self.harness.evaluate(canary_texts=self._canary_texts)
        hashes = self.harness.items_hashes
        known = {ref.name: self.pristine.find(ref, hashes[ref.name]) for ref in self.refs}
        new = self.harness.evaluate([name for name, outcome in known.items() if outcome is None])
        for outcome in new:
            known[outcome.name] = outcome
            self.pristine.keep(next(ref for ref in self.refs if ref.name == outcome.name), outcome)
        return [outcome for outcome in known.values() if outcome is not None]


def scoring_environment(loaded: LoadedModel, device: str) -> dict[str, Any]:
    """What may move pristine scores in the last bits: versions, threads, device, engine, and our scoring code."""
    segment = environment_segment(())
    sources = hashlib.sha256()
    for module in _SOURCES:
        sources.update(Path(str(module.__file__)).read_bytes())
    kept = {name: segment[name] for name in ("python", "cpu", "threads", "gpu", "packages")}
    engine_version = {"engine": loaded.engine_name} if loaded.engine_name != "hf" else {}
    return (
        kept
        | engine_version
        | {
            "device": device,
            "dtype": str(loaded.model.model.dtype),
            "sources": sources.hexdigest(),
        }
    )
