"""`palimpsest plan`: what a suite would run, how far it is, how long it takes and what it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from palimpsest.cli import options, output
from palimpsest.harness.errors import PalimpsestError

if TYPE_CHECKING:
    from palimpsest.harness.forecast.prediction import Prediction
    from palimpsest.harness.runs.loaded_model import LoadedModel
    from palimpsest.harness.specs.planning import PlannedRun
    from palimpsest.harness.specs.run_spec import RunSpec

app = typer.Typer(add_completion=False)
_COLUMNS = ("run", "editor", "model", "task", "seed", "state")


@app.command(
    epilog="Examples:\n\npalimpsest plan pocket\n\npalimpsest plan mine.yaml --json\n\n"
    "palimpsest plan llama3-counterfact --device cuda\n\nMore: docs/performance.md"
)
def plan(
    suite: Annotated[str, typer.Argument(help="Name of a suite, or a YAML file.", metavar="SUITE")],
    no_calibration: Annotated[
        bool,
        typer.Option("--no-calibration", help="Measure nothing: times come from earlier runs and calibrations alone."),
    ] = False,
    data: options.DataOption = None,
    skip_bad_records: options.SkipBadOption = False,
    ability_data: options.AbilityDataOption = None,
    stats_text: options.StatsTextOption = None,
    device: options.DeviceOption = "cpu",
    device_map: options.DeviceMapOption = None,
    offload: options.OffloadOption = False,
    home: output.HomeOption = None,
    as_json: output.JsonOption = False,
    quiet: output.QuietOption = False,
) -> None:
    """Show what a suite would run, how far each run is, how long it takes, and whether it fits; exit 4 if not."""
    from palimpsest.cli.flags import Flags, selected
    from palimpsest.harness.specs.planning import installed_catalog
    from palimpsest.harness.specs.planning import plan as plan_suite
    from palimpsest.tasks.registry import data_files

    means = options.means(device, device_map, offload=offload, data=ability_data, text=stats_text)
    chosen, place = selected(Flags(suite=suite))
    files = data_files(data or (), chosen.tasks, skip_bad=skip_bad_records)
    catalog = installed_catalog(means.library, data=files, fetch=False)
    planned = plan_suite(chosen, catalog, place=place, statistics=means.statistics_hash)
    if not quiet:
        options.tell_of_data(planned)
    outlook = Outlook(output.home_folder(home), means, measure=not no_calibration, quiet=quiet)
    rows = outlook.rows(planned)
    _print(chosen.name, rows, as_json=as_json)
    if any(row["problems"] for row in rows):
        raise typer.Exit(4)


def _print(suite: str, rows: list[dict[str, Any]], *, as_json: bool) -> None:
    known = [row["seconds"] for row in rows if row["seconds"] is not None]
    if as_json:
        total = sum(known) if len(known) == len(rows) else None
        output.json_line({"suite": suite, "runs": rows, "seconds": total})
        return
    output.table(
        [*_COLUMNS, "takes", "memory", "disk"],
        [
            [
                *(row[name] for name in _COLUMNS),
                output.duration(row["seconds"]),
                "–" if row["peak_memory_mb"] is None else f"{row['peak_memory_mb'] / 1000:.1f} GB",
                "–" if row["disk_mb"] is None else f"{row['disk_mb']:.0f} MB",
            ]
            for row in rows
        ],
    )
    for problem in dict.fromkeys(f"{row['model']}: {problem}" for row in rows for problem in row["problems"]):
        output.line(f"Does not fit: {problem}")
    left = [row for row in rows if row["seconds"] != 0]
    unknown = len(rows) - len(known)
    takes = f", about {output.duration(sum(known))}" if known else ""
    more = f", {unknown} of unknown length (nothing of the kind was measured on this machine)" if unknown else ""
    output.line(f"{len(left)} of {len(rows)} runs are left{takes}{more}.")


@dataclass(slots=True)
class Outlook:
    """Looks ahead; keeps the model that it loaded last for calibrations."""

    home: Path
    means: options.Means
    measure: bool
    """Whether what was not measured yet is measured."""
    quiet: bool = False
    _loaded: LoadedModel | None = None

    def rows(self, planned: Sequence[PlannedRun]) -> list[dict[str, Any]]:
        """For each run its id, names, seed, state, predicted costs, and what it lacks."""
        return [self._row(run, [other.spec for other in planned[:i]]) for i, run in enumerate(planned)]

    def _row(self, run: PlannedRun, earlier: Sequence[RunSpec]) -> dict[str, Any]:
        from palimpsest.harness.forecast.history import predict, run_state
        from palimpsest.harness.model.catalogue import is_here, resolve
        from palimpsest.harness.model.needs import gigabytes, lacking, needs, shape_of

        spec, entry = run.spec, resolve(run.model_source)
        shape, here = shape_of(entry), is_here(entry)
        found = None if shape is None else needs(entry, shape, spec.editor.config, self.means.placement)
        problems = [] if found is None else lacking(found, self.home, self.means.placement)
        state = run_state(self.home, spec)
        ahead = self._prediction(run, earlier) if here and not problems else None
        past = predict(self.home, spec) if here and ahead is None else None
        seconds = ahead.seconds if ahead is not None else past.seconds if past is not None else None
        least = None if found is None else (found.memory if self.means.placement.device != "cpu" else found.host_memory)
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
        from palimpsest.harness.forecast.history import run_state
        from palimpsest.harness.forecast.prediction import predict_run, shares_pristine

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
                placement=self.means.placement,
                load=partial(self._model, run) if self.measure else None,
                library=self.means.library,
            )
        except PalimpsestError as error:
            if not self.quiet:
                output.note(f"{run.spec.editor.name} on {run.spec.model.name} could not be tried: {error}")
            return None
        if costs is None:
            return None
        return predict_run(self.home, run.spec, costs, pristine_is_there=shares_pristine(run.spec, earlier))

    def _model(self, run: PlannedRun) -> LoadedModel:
        from palimpsest.harness.runs.loaded_model import load

        if not self.quiet:
            output.note(f"Trying {run.spec.editor.name} on {run.spec.model.name} for a moment …")
        wanted = run.spec.model.fingerprint
        if self._loaded is None or self._loaded.fingerprint != wanted or not self._loaded.restored():
            self._loaded = None
            self._loaded = load(
                run.model_source,
                wanted,
                self.home,
                placement=self.means.placement,
                statistics=self.means.statistics,
            )
        return self._loaded


def _memory(ahead: Prediction | None, least: int | None) -> float | None:
    if ahead is not None:
        return ahead.peak_memory_mb
    return None if least is None else least / 1e6
