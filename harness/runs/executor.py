"""Runs of a suite in one process: the loaded model, its statistics and its pristine scores are shared."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.harness.model.needs import require
from palimpsest.harness.model.placement import Placement, use_threads
from palimpsest.harness.plugins.compositions import complete
from palimpsest.harness.plugins.configuration import build_editor
from palimpsest.harness.runs.instruments import AbilityRounds, scoring_environment
from palimpsest.harness.runs.loaded_model import LoadedModel, load
from palimpsest.harness.runs.pristine_scores import PristineAbilities, PristineScores
from palimpsest.harness.runs.run import Run, RunInputs, RunOutcome, RunSettings
from palimpsest.harness.runs.score_files import Instruments, measure
from palimpsest.harness.runs.work import require_weights
from palimpsest.harness.specs.schedule import order
from palimpsest.harness.system.interrupts import Interrupts
from palimpsest.harness.system.locks import Held

if TYPE_CHECKING:
    from palimpsest.harness.runs.installation import Installation
    from palimpsest.harness.runs.journal import Progress
    from palimpsest.harness.specs.cases import Case, EditTask
    from palimpsest.harness.specs.planning import PlannedRun


_ORIGIN = ("source", "records", "skipped", "left_out", "contradicting")


class Executor:
    """Does runs one after another; keeps the model that the last one used."""

    def __init__(
        self,
        home: Path,
        *,
        progress: Progress,
        settings: RunSettings | None = None,
        interrupts: Interrupts | None = None,
        placement: Placement | None = None,
        installed: Installation,
        statistics: str | None = None,
    ) -> None:
        """Set up; nothing is loaded yet.

        Args:
            home: Folder of runs and caches.
            progress: Receives the events of all runs.
            settings: How runs are carried out.
            interrupts: Signals to heed, entered by the caller; None: those of Python.
            placement: Device of models, and the engine of ability tasks; None: the CPU, in memory.
            installed: Finds ability tasks and the texts of key statistics.
            statistics: Text that key statistics are taken from, in place of each model's own.
        """
        self.home = home
        self._progress = progress
        self._settings = settings
        self._interrupts = interrupts or Interrupts()
        self._placement = placement or Placement()
        self._installed = installed
        self._statistics = statistics
        self._loaded: LoadedModel | None = None

    def execute(self, planned: PlannedRun) -> RunOutcome:
        """Do or continue one run; a run that is done is only checked, and no model is loaded for it.

        Raises:
            PalimpsestError: The run could not be started or resumed; saved work is kept. An editor that fails or
                a model that collapses is an outcome, not an error.
        """
        use_threads(self._placement)
        spec = planned.spec
        engine = self._placement.engine
        if engine != "hf" and not all(editor.writes_weights for _, editor in complete(spec.editor.name)):
            require_weights(spec.editor.name, engine)
        run = Run(
            spec,
            _cases(planned),
            self.home,
            inputs=lambda: self._inputs(planned),
            progress=self._progress,
            settings=self._settings,
            interrupts=self._interrupts,
        )
        return run.execute()

    def prepare(self, planned: PlannedRun, statistics: Mapping[int, Collection[int]]) -> bool:
        """Make what runs of one model share, as far as no other process makes it now: key statistics, unedited scores.

        Args:
            planned: One of them, whose unedited scores are made.
            statistics: Tokens of the statistics text → blocks, of all the runs, made in one pass for each number.

        Returns:
            Whether the statistics are there.

        Raises:
            PalimpsestError: Something is lacking; each run then tries for itself.
        """
        use_threads(self._placement)
        inputs = self._inputs(planned)
        resources = self.loaded(planned).resources
        there = True
        with self._interrupts.at_once():
            try:
                for tokens, layers in statistics.items():
                    self._progress.tell({"event": "phase", "what": "collecting key statistics"})
                    resources.second_moments(sorted(layers), tokens, wait=False)
            except Held:
                there = False
            resources.used = {}
            scores = inputs.pristine_scores
            if 0 in planned.spec.schedule.checkpoints and scores is not None and scores.find() is None:
                with suppress(Held), scores.alone(wait=False):
                    self._progress.tell({"event": "phase", "what": "scoring the unedited model"})
                    scores.keep(measure(planned.spec, _cases(planned), 0, inputs.instruments)[0])
        return there

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
            require(planned.model, planned.spec.editor.config, self.home, self._placement)
            self._loaded = load(
                planned.model,
                self.home,
                expected=wanted,
                placement=self._placement,
                statistics=self._statistics,
                texts=self._installed.texts,
            )
        return self._loaded

    def _inputs(self, planned: PlannedRun) -> RunInputs:
        spec = planned.spec
        self._progress.tell({"event": "phase", "what": f"loading {spec.model.name}"})
        loaded = self.loaded(planned)
        model = loaded.model
        cache = self.home / "models" / model.fingerprint
        harness = loaded.abilities(spec.abilities, self._installed.abilities)
        environment = scoring_environment(loaded, self._placement.device)
        asked = {"items": dict(harness.items_hashes)} if harness is not None else {}
        damaged: list[str] = []
        rounds = AbilityRounds(harness, spec.abilities, PristineAbilities(cache, environment, damaged))
        return RunInputs(
            model=model,
            make_editor=lambda: build_editor(spec.editor.name, spec.editor.config),
            instruments=Instruments(model, rounds),
            pristine_scores=PristineScores(cache, spec, environment | asked, damaged),
            damaged=damaged,
            provenance={
                "revision": loaded.revision,
                "dtype": str(model.model.dtype).removeprefix("torch."),
                "device": self._placement.device_map or self._placement.device,
                "offload": self._placement.offload,
                "engine": self._placement.engine,
                **_data(planned.task),
            },
        )


def _cases(planned: PlannedRun) -> Sequence[Case]:
    """The cases of a run's schedule, in edit order."""
    spec = planned.spec
    return planned.task.ordered(order(len(planned.task.cases), spec.schedule, spec.seed))


def _data(task: EditTask) -> dict[str, Any]:
    """The record of data that do not ship."""
    if task.origin is None:
        return {}
    about = {name: getattr(task.origin, name) for name in _ORIGIN}
    return {"data": {**about, "content_hash": task.content_hash, "order_hash": task.order_hash}}
