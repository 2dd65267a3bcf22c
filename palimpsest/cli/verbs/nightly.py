"""`palimpsest nightly`: run, resume, ingest, compare with the last night, build the page; again and again the same."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from palimpsest import __version__
from palimpsest.cli import means, options, output, place_options
from palimpsest.cli.carry_out import How, asked
from palimpsest.cli.depots import address as depot_address
from palimpsest.cli.flags import Flags, selected
from palimpsest.cli.hand_over import results_of_all
from palimpsest.cli.many_runs import RunResult, exit_code, last_line, not_run, own_command
from palimpsest.cli.places import Place
from palimpsest.cli.planned_runs import planned_runs
from palimpsest.cli.store_place import included, published_claims, store_path
from palimpsest.harness.errors import RunFailed, UsageError
from palimpsest.harness.fleet.ticket import Course
from palimpsest.harness.system.environment import environment_segment
from palimpsest.results.nights import (
    NAME,
    Move,
    Night,
    as_markdown,
    forget_runs,
    moves,
    next_night,
    night_of,
    read_nights,
    write_night,
)
from palimpsest.results.store.database import Store
from palimpsest.results.store.ingest import ingest_all
from palimpsest.site.build import build
from palimpsest.site.pages.plan_extras import Options

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Examples:\n\npalimpsest nightly\n\npalimpsest nightly --suite smoke --home /tmp/nights\n\n"
    "palimpsest nightly --keep 2 --out public --base-url https://example.org/palimpsest/ --report moved.md\n\n"
    "More: docs/nightly.md"
)
def nightly(
    suite: Annotated[str, typer.Option("--suite", help="What is run.")] = "nightly",
    day: Annotated[
        str | None,
        typer.Option("--day", metavar="YYYY-MM-DD", help="Which night.", show_default="the unfinished one, else today"),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write what moved as Markdown, if anything did.")
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep",
            min=1,
            help="How many nights keep their runs; of older ones only the numbers stay.",
            show_default="all",
        ),
    ] = None,
    out: options.OutOption = None,
    base_url: options.BaseOption = "",
    submissions: options.SubmissionsOption = options.SUBMISSIONS,
    on: place_options.OnAnyOption = None,
    slurm: place_options.SlurmOption = None,
    detach: place_options.DetachOption = False,
    home: options.HomeOption = None,
    depot: options.DepotOption = None,
    quiet: options.QuietOption = False,
) -> None:
    """Run a night, or go on with it; exit 1 if a number of a built-in editor left its interval."""
    where = Place(on=on, slurm=slurm, detach=detach)
    where.check()
    place = options.home_folder(home)
    address = options.base_address(base_url)
    night = checked_day(day) if day is not None else next_night(place / "nights")
    folder = place / "nights" / night
    options.writable_file(report, "--report")
    kept = None if depot is None else f"{depot_address(depot)}/nights/{night}"
    results = _run(suite, folder, where, depot=kept, quiet=quiet)
    if results is None:
        output.note(f"The night {night} is compared and built by the same command, when its runs have ended.")
        raise typer.Exit(3)
    for result in results:
        if result.reason:
            output.note(last_line(result, own_command()))
    code = exit_code(results)
    if code in (130, 143, 3):
        output.note(f"The night {night} is not complete; the same command goes on with it.")
        raise typer.Exit(code)
    found = _summarise(folder, night, submissions)
    moved = _compared(place / "nights", found)
    extras = Options(place / "nights", address, published_claims=published_claims(submissions))
    _build(folder, out or place / "site", extras)
    if keep is not None:
        forget_runs(place / "nights", keep)
    ours = [move for move in moved if move.built_in]
    for move in moved:
        output.line(move.words)
    output.line(f"{night}: {len(found.numbers)} numbers, {len(moved)} moved, {len(ours)} of built-in editors")
    if report is not None and moved:
        report.write_text(as_markdown(found, moved), encoding="utf-8")
    if code or ours:
        raise typer.Exit(code or 1)


def checked_day(day: str) -> str:
    """The night's day.

    Raises:
        UsageError: It is no day of the calendar.
    """
    try:
        return date.fromisoformat(day).isoformat()
    except ValueError as error:
        raise UsageError(f"--day: expected a day like 2026-03-01, got {day!r}.") from error


def _run(suite: str, home: Path, place: Place, *, depot: str | None, quiet: bool) -> list[RunResult] | None:
    """Results of the night's runs; None: they are handed over, and go on without this process."""
    chosen, where = selected(Flags(suite=suite))
    given = means.checked("cpu", None, offload=False)
    unusable: dict[str, str] = {}
    planned = planned_runs(chosen, where, given, home, unusable=unusable, quiet=quiet)
    course = Course(keep=place.keep)
    how = How(given=given, asked=asked(given), course=course, quiet=quiet, place=place, depot=depot)
    results = results_of_all(planned, home, how)
    return None if results is None else results + not_run(unusable)


def _summarise(folder: Path, day: str, submissions: Path) -> Night:
    """The night's numbers, kept only if every run of it could be read."""
    report = ingest_all(store_path(folder), folder / "runs", submissions=included(submissions))
    with Store.open(store_path(folder), read_only=True) as store:
        night = night_of(store, day, __version__, environment_segment(())["commit"])
    if report.problems:
        raise RunFailed("\n".join(f"{problem.path}: {problem.message}" for problem in report.problems))
    write_night(folder / NAME, night)
    return night


def _compared(nights: Path, night: Night) -> list[Move]:
    earlier = [one for one in read_nights(nights) if one.day < night.day]
    return moves(earlier[-1], night) if earlier else []


def _build(folder: Path, out: Path, extras: Options) -> None:
    page = build(store_path(folder), out, extras).path.resolve().as_uri()
    output.note(page)
