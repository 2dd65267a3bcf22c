"""What a plan says of each run: where it is, what is missing, how long it will take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.harness.errors import PalimpsestError

if TYPE_CHECKING:
    from palimpsest.harness.forecast.prediction import Prediction
    from palimpsest.harness.model.placement import Placement
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
    """Whether what was not measured yet is measured."""
    tell: Callable[[str], None]
    """Is told what is tried, and what could not be."""
    _loaded: LoadedModel | None = None

    def rows(self, planned: Sequence[PlannedRun]) -> list[dict[str, Any]]:
        """For each run its id, names, seed, state, predicted costs, and what it lacks."""
        return [self._row(run, [other.spec for other in planned[:i]]) for i, run in enumerate(planned)]

    def _row(self, run: PlannedRun, earlier: Sequence[RunSpec]) -> dict[str, Any]:
        from palimpsest.harness.forecast.history import predict
        from palimpsest.harness.model.catalogue import is_here, resolve
        from palimpsest.harness.model.needs import gigabytes, lacking, needs, shape_of
        from palimpsest.harness.runs.reading import run_state

        spec, entry = run.spec, resolve(run.model_source)
        shape, here = shape_of(entry), is_here(entry)
        found = None if shape is None else needs(entry, shape, spec.editor.config, self.placement)
        problems = [] if found is None else lacking(found, self.home, self.placement)
        state = run_state(self.home, spec)
        ahead = self._prediction(run, earlier) if here and not problems else None
        past = predict(self.home, spec) if here and ahead is None else None
        seconds = ahead.seconds if ahead is not None else past.seconds if past is not None else None
        least = None if found is None else (found.memory if self.placement.device != "cpu" else found.host_memory)
        fetched = "" if here or found is None else f"to be fetched, {gigabytes(found.download)}"
        return {
            "run": spec.id if here else None,
            "editor": spec.editor.name,
            "model": spec.model.name,
            "task": spec.task.name,
            "seed": spec.seed,
            "state": fetched or str(state),
            "seconds": seconds,
            "peak_memory_mb": _memory(ahead, least),
            "disk_mb": ahead.disk_bytes / 1e6 if ahead is not None else None if found is None else found.disk / 1e6,
            "basis": "calibration" if ahead is not None else "past runs" if past is not None else "sizes",
            "parts": dict(ahead.parts) if ahead is not None else {},
            "problems": problems,
        }

    def _prediction(self, run: PlannedRun, earlier: Sequence[RunSpec]) -> Prediction | None:
        """From a calibration, remembered or made now; None where there is none, or the editor cannot be tried."""
        from palimpsest.harness.forecast.prediction import predict_run, shares_pristine
        from palimpsest.harness.runs.reading import run_state

        calibrations = self.home / "models" / run.spec.model.fingerprint / "calibrations"
        if run_state(self.home, run.spec).status in ("complete", "collapsed"):
            return None
        if not self.measure and not calibrations.is_dir():
            return None
        from palimpsest.harness.forecast.calibration import calibrated

        try:
            costs = calibrated(
                run,
                self.home,
                placement=self.placement,
                load=partial(self._model, run) if self.measure else None,
                library=self.installed.abilities,
            )
        except PalimpsestError as error:
            self.tell(f"{run.spec.editor.name} on {run.spec.model.name} could not be tried: {error}")
            return None
        if costs is None:
            return None
        return predict_run(self.home, run.spec, costs, pristine_is_there=shares_pristine(run.spec, earlier))

    def _model(self, run: PlannedRun) -> LoadedModel:
        from palimpsest.harness.runs.loaded_model import load

        self.tell(f"Trying {run.spec.editor.name} on {run.spec.model.name} for a moment …")
        wanted = run.spec.model.fingerprint
        if self._loaded is None or self._loaded.fingerprint != wanted or not self._loaded.restored():
            self._loaded = None
            self._loaded = load(
                run.model_source,
                wanted,
                self.home,
                placement=self.placement,
                statistics=self.statistics,
                texts=self.installed.texts,
            )
        return self._loaded


def _memory(ahead: Prediction | None, least: int | None) -> float | None:
    if ahead is not None:
        return ahead.peak_memory_mb
    return None if least is None else least / 1e6
