"""Runs of a suite in one process: the loaded model, its statistics and its pristine scores are shared."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.harness import abilities, health, measurement, packing, scoring
from palimpsest.harness.editing import restore_pristine
from palimpsest.harness.errors import ConfigError, RunBusy
from palimpsest.harness.guard import parameter_digests
from palimpsest.harness.interrupts import Interrupts
from palimpsest.harness.pristine import PristineScores
from palimpsest.harness.provenance import environment_segment
from palimpsest.harness.registry import build_editor
from palimpsest.harness.run import Run, RunOutcome, RunSettings, Workbench
from palimpsest.harness.schedule import order

if TYPE_CHECKING:
    from palimpsest.harness.abilities import AbilityHarness, AbilityOutcome
    from palimpsest.harness.model import EditableModel
    from palimpsest.harness.model_registry import ModelEntry
    from palimpsest.harness.planning import PlannedRun
    from palimpsest.harness.progress import Progress
    from palimpsest.harness.requests import Case
    from palimpsest.harness.scoring import Answer, ProbeOutcome
    from palimpsest.harness.spec import AbilityRef, RunSpec, Scoring

_SCORING_SOURCES = (measurement, scoring, packing, abilities, health)


@dataclass(frozen=True, slots=True)
class ModelInstruments:
    """The real `Instruments`: batched scoring and lm-eval on the model in memory."""

    model: EditableModel
    harness: AbilityHarness | None

    def windows(self, positions: int, sampling: Scoring, edits: int) -> Mapping[str, Sequence[int]]:
        """See `choose_windows`."""
        return scoring.choose_windows(positions, sampling, edits)

    def score(self, cases: Sequence[Case]) -> Sequence[ProbeOutcome]:
        """See `score_cases`."""
        return scoring.score_cases(self.model, cases)

    def answers(self, cases: Sequence[Case], seed: int) -> Sequence[Answer]:
        """See `sample_answers`."""
        return scoring.sample_answers(self.model, cases, seed=seed)

    def abilities(self) -> Sequence[AbilityOutcome]:
        """Outcomes of the run's ability tasks; none without tasks."""
        return self.harness.evaluate() if self.harness is not None else ()


@dataclass(slots=True)
class LoadedModel:
    """A model in memory with what was made for it."""

    model: EditableModel
    fingerprint: str
    """As in the spec's `ModelRef`."""
    digests: Mapping[str, str]
    """Parameter → digest, as loaded."""
    harnesses: dict[tuple[AbilityRef, ...], AbilityHarness] = field(default_factory=dict)

    def restored(self) -> bool:
        """Undo all edits; whether every parameter is as it was loaded, to the bit."""
        restore_pristine(self.model)
        return parameter_digests(self.model.model) == self.digests

    def abilities(self, refs: tuple[AbilityRef, ...]) -> AbilityHarness | None:
        """The harness of these tasks, made before the first edit and used again."""
        if refs and refs not in self.harnesses:
            self.harnesses[refs] = abilities.AbilityHarness(self.model, refs)
        return self.harnesses.get(refs)


class Executor:
    """Does runs one after another; keeps the model that the last one used."""

    def __init__(
        self,
        home: Path,
        *,
        progress: Progress,
        settings: RunSettings | None = None,
        interrupts: Interrupts | None = None,
        device: str = "cpu",
    ) -> None:
        """Set up; nothing is loaded yet.

        Args:
            home: Folder of runs and caches.
            progress: Is told how it goes.
            settings: How runs are carried out.
            interrupts: Signals to heed, entered by the caller; None: those of Python.
            device: Where models are loaded.
        """
        self.home = home
        self._progress = progress
        self._settings = settings
        self._interrupts = interrupts
        self._device = device
        self._loaded: LoadedModel | None = None

    def execute(self, planned: PlannedRun) -> RunOutcome:
        """Do or continue one run; a run that is done is only checked, and no model is loaded for it.

        Raises:
            PalimpsestError: The run could not be begun or gone on with; what is saved stays. An editor that fails or
                a model that collapses is an outcome, not an error.
        """
        spec = planned.spec
        cases = [planned.task.cases[index] for index in order(len(planned.task.cases), spec.schedule, spec.seed)]
        run = Run(
            spec,
            cases,
            self.home,
            workbench=lambda: self._workbench(planned),
            progress=self._progress,
            settings=self._settings,
            interrupts=self._interrupts,
        )
        return run.execute()

    def loaded(self, planned: PlannedRun) -> LoadedModel:
        """The pristine model of a run, loaded or used again.

        Raises:
            ConfigError: The files are not those that the spec names.
            MissingResource: The model cannot be loaded.
        """
        wanted = planned.spec.model.fingerprint
        if self._loaded is not None and (self._loaded.fingerprint != wanted or not self._loaded.restored()):
            self._loaded = None
        if self._loaded is None:
            self._loaded = load(planned.model_source, wanted, self.home, self._device)
        return self._loaded

    def _workbench(self, planned: PlannedRun) -> Workbench:
        spec = planned.spec
        self._progress.phase(f"loading {spec.model.name}")
        loaded = self.loaded(planned)
        model = loaded.model
        return Workbench(
            model=model,
            make_editor=lambda: build_editor(spec.editor.name, spec.editor.config),
            instruments=ModelInstruments(model, loaded.abilities(spec.abilities)),
            pristine_scores=PristineScores(
                self.home / "models" / model.fingerprint,
                spec,
                _scoring_environment(self._device, str(model.model.dtype)),
            ),
        )


def execute(
    plans: Iterable[PlannedRun], home: Path, *, progress: Progress, settings: RunSettings | None = None
) -> Iterator[RunOutcome]:
    """Do all runs in order, heeding signals; ends after a run that a signal stopped."""
    with Interrupts() as interrupts:
        executor = Executor(home, progress=progress, settings=settings, interrupts=interrupts)
        for planned in plans:
            outcome = executor.execute(planned)
            yield outcome
            if outcome.stopped is not None:
                return


def load(source: str, fingerprint: str, home: Path, device: str = "cpu") -> LoadedModel:
    """Load the model behind ``source`` and check that it is the one with this fingerprint.

    Raises:
        ConfigError: It is another one.
        MissingResource: It cannot be loaded.
    """
    from palimpsest.harness.model import load_model
    from palimpsest.harness.model_registry import fingerprint as fingerprint_of_files
    from palimpsest.harness.model_registry import locate, resolve

    entry = resolve(source)
    found = fingerprint_of_files(entry)
    if found != fingerprint:
        raise ConfigError(
            f"Model {entry.name!r} is {found[:12]} now, but the run is of {fingerprint[:12]}: its files have changed. "
            "Plan the run again, or give the folder of the right model."
        )
    model = load_model(
        str(locate(entry)),
        name=entry.name,
        dtype=entry.dtype,
        cache=home / "models",
        device=device,
        known_fingerprint=found,
    )
    _set_statistics(model, entry)
    return LoadedModel(model, fingerprint, parameter_digests(model.model))


def _set_statistics(model: EditableModel, entry: ModelEntry) -> None:
    if entry.statistics is None:
        return
    from palimpsest.tasks.registry import statistics_text

    name = entry.statistics
    texts: Callable[[], Sequence[str]] = lambda: statistics_text(name)  # noqa: E731
    model.resources.set_statistics(name, texts)


def _scoring_environment(device: str, dtype: str) -> dict[str, Any]:
    """What may move pristine scores in the last bits: versions, threads, device, and our scoring code."""
    segment = environment_segment(())
    sources = hashlib.sha256()
    for module in _SCORING_SOURCES:
        sources.update(Path(str(module.__file__)).read_bytes())
    kept = {name: segment[name] for name in ("python", "cpu", "threads", "gpu", "packages")}
    return kept | {"device": device, "dtype": dtype, "sources": sources.hexdigest()}


def move_aside(home: Path, spec: RunSpec) -> Path | None:
    """Make room for a fresh start: the run's folder goes to ``<home>/replaced``; its new place, or None.

    Raises:
        RunBusy: Another process works on it.
    """
    import fcntl

    folder = home / "runs" / spec.id
    if not folder.exists():
        return None
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunBusy(f"Run {spec.id} is being worked on by another process; it cannot begin again.") from error
        place = home / "replaced" / f"{spec.id}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}"
        place.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(place)
    return place
