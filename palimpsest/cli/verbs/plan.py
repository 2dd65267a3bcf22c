"""`palimpsest plan`: what a suite would run, how far it is, how long it takes and what it needs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from palimpsest.cli import means, options, output, place_options
from palimpsest.cli.flags import Flags, selected
from palimpsest.cli.places import Place
from palimpsest.cli.planned_runs import planned_runs
from palimpsest.harness.forecast.outlook import Outlook
from palimpsest.tasks.registry import data_files

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
    known: options.KnownOption = False,
    data: options.DataOption = None,
    skip_bad_records: options.SkipBadOption = False,
    ability_data: options.AbilityDataOption = None,
    stats_text: options.StatsTextOption = None,
    device: options.DeviceOption = "cpu",
    device_map: options.DeviceMapOption = None,
    offload: options.OffloadOption = False,
    on: place_options.OnPlanOption = None,
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """Show what a suite would run, how far each run is, how long it takes, and whether it fits; exit 4 if not."""
    where = Place(on=on)
    where.check(device=device, device_map=device_map)
    chosen, place = selected(Flags(suite=suite, known=known))
    files = data_files(data or (), chosen.tasks, skip_bad=skip_bad_records)
    given = means.checked(
        device, device_map, offload=offload, elsewhere=where.elsewhere, data=ability_data, text=stats_text, files=files
    )
    folder = options.home_folder(home)
    planned = planned_runs(chosen, place, given, folder, fetch=False, quiet=quiet)
    if not quiet:
        means.tell_of_data(*(run.task.origin for run in planned))
    outlook = Outlook(
        folder,
        given.placement,
        given.installed,
        statistics=given.statistics,
        measure=not no_calibration and not where.elsewhere,
        elsewhere=where.elsewhere,
        tell=(lambda text: None) if quiet else output.note,
    )
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
