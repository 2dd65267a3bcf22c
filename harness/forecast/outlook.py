"""A look ahead at each run of a plan: where it stands, what it lacks, how long it will take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.harness.errors import PalimpsestError
from palimpsest.harness.forecast.history import past_costs
from palimpsest.harness.forecast.prediction import Prediction, predict_run, shares_pristine
from palimpsest.harness.model.catalogue import is_here
from palimpsest.harness.model.needs import Needs, gigabytes, lacking, needs, shape_of
from palimpsest.harness.runs.journal import SilentProgress
from palimpsest.harness.runs.reading import ENDED, run_state

if TYPE_CHECKING:
    from palimpsest.harness.model.placement import Placement
    from palimpsest.harness.runs.executor import Executor
    from palimpsest.harness.runs.installation import Installation
    from palimpsest.harness.runs.loaded_model import LoadedModel
    from palimpsest.harness.specs.planning import PlannedRun
    from palimpsest.harness.specs.run_spec import RunSpec


@dataclass(slots=True)
class Outlook:
    """Looks ahead; keeps the model that it loaded last for calibrations."""

    home: Path
    placement: Placement
    installed: Installation
    statistics: str | None
    """Source of key statistics in place of each model's own."""
    measure: bool
    """Measure what was not measured yet."""
    tell: Callable[[str], None]
    """Receives what is tried, and what could not be."""
    _executor: Executor | None = None
    elsewhere: bool = False  # other machines do the runs: what was measured on any of them is taken

    def rows(self, planned: Sequence[PlannedRun]) -> list[dict[str, Any]]:
        """For each run its id, names, seed, state, predicted costs, and what it lacks."""
        return [self._row(run, [other.spec for other in planned[:i]]) for i, run in enumerate(planned)]

    def _row(self, run: PlannedRun, earlier: Sequence[RunSpec]) -> dict[str, Any]:
        spec = run.spec
        shape = shape_of(run.model)
        here = is_here(run.model)
        found = None if shape is None else needs(run.model, shape, spec.editor.config, self.placement)
        problems = [] if found is None or self.elsewhere else lacking(found, self.home, self.placement)
        state = str(run_state(self.home, spec))
        if not here and found is not None:
            state = f"to be fetched, {gigabytes(found.download)}"
        measured = self._measured(run, earlier) if here and not problems else None
        remembered = self._remembered(spec, earlier) if here and measured is None else None
        ahead = measured or remembered
        return {
            "run": spec.id if here else None,
            "editor": spec.editor.name,
            "model": spec.model.name,
            "task": spec.task.name,
            "seed": spec.seed,
            "state": state,
            "seconds": None if ahead is None else ahead.seconds,
            "peak_memory_mb": _memory(measured, found, self.placement),
            "disk_mb": _disk(measured, found),
            "basis": "calibration" if measured else "past runs" if remembered else "sizes",
            "parts": dict(measured.parts) if measured else {},
            "problems": problems,
        }

    def _remembered(self, spec: RunSpec, earlier: Sequence[RunSpec]) -> Prediction | None:
        """From past runs alone; a run that is done takes no time."""
        if run_state(self.home, spec).status in ENDED:
            return Prediction(0.0, {}, 0.0, 0)
        costs = past_costs(self.home, spec)
        if costs is None:
            return None
        return predict_run(self.home, spec, costs, pristine_is_there=shares_pristine(spec, earlier))

    def _measured(self, run: PlannedRun, earlier: Sequence[RunSpec]) -> Prediction | None:
        """From a calibration, remembered or made now; None where there is none, or the editor cannot be tried."""
        calibrations = self.home / "models" / run.spec.model.fingerprint / "calibrations"
        if run_state(self.home, run.spec).status in ENDED:
            return None
        if not self.measure and not calibrations.is_dir():
            return None
        # Late: torch loads in 2 s, which a plan from past runs need not wait for.
        from palimpsest.harness.forecast.calibration import calibrated

        try:
            costs = calibrated(
                run,
                self.home,
                placement=self.placement,
                load=partial(self._model, run) if self.measure else None,
                library=self.installed.abilities,
                anywhere=self.elsewhere,
            )
        except PalimpsestError as error:
            self.tell(f"{run.spec.editor.name} on {run.spec.model.name} could not be tried: {error}")
            return None
        if costs is None:
            return None
        return predict_run(self.home, run.spec, costs, pristine_is_there=shares_pristine(run.spec, earlier))

    def _model(self, run: PlannedRun) -> LoadedModel:
        from palimpsest.harness.runs.executor import Executor

        self.tell(f"Trying {run.spec.editor.name} on {run.spec.model.name} for a moment …")
        if self._executor is None:
            self._executor = Executor(
                self.home,
                progress=SilentProgress(),
                placement=self.placement,
                installed=self.installed,
                statistics=self.statistics,
            )
        return self._executor.loaded(run)


def _memory(ahead: Prediction | None, found: Needs | None, placement: Placement) -> float | None:
    """Megabytes, measured or at least needed; None: unknown."""
    if ahead is not None:
        return ahead.peak_memory_mb
    if found is None:
        return None
    return (found.memory if placement.device != "cpu" else found.host_memory) / 1e6


def _disk(ahead: Prediction | None, found: Needs | None) -> float | None:
    """Megabytes, measured or at least needed; None: unknown."""
    if ahead is not None:
        return ahead.disk_bytes / 1e6
    return None if found is None else found.disk / 1e6
