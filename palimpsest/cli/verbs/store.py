"""`palimpsest store`: bring run folders into the DuckDB store, make it anew, ask it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from palimpsest.cli import options, output
from palimpsest.cli.store_place import included, store_path
from palimpsest.harness.errors import UsageError
from palimpsest.results.store.database import Store
from palimpsest.results.store.ingest import IngestReport, ingest_all
from palimpsest.results.store.ingest import rebuild as remake

JobsOption = Annotated[
    int,
    typer.Option("--jobs", parser=options.whole_number, metavar="N", help="Processes that read run folders at once."),
]

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Keep the DuckDB store of all runs.")


@app.command(
    epilog="Examples:\n\npalimpsest store ingest\n\npalimpsest store ingest --json\n\nMore: docs/command-line.md"
)
def ingest(
    submissions: options.SubmissionsOption = options.SUBMISSIONS,
    jobs: JobsOption = 1,
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """Bring new and changed run folders, and included submissions, into the store; twice changes nothing."""
    place = options.home_folder(home)
    tell = None if quiet else _progress
    report = ingest_all(store_path(place), place / "runs", tell, included(submissions), _at_least_one(jobs))
    _tell(report, store_path(place), as_json=as_json)


@app.command(epilog="Example:\n\npalimpsest store rebuild\n\nMore: docs/command-line.md")
def rebuild(
    submissions: options.SubmissionsOption = options.SUBMISSIONS,
    jobs: JobsOption = 1,
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """Make the store anew from run folders and included submissions alone."""
    place = options.home_folder(home)
    tell = None if quiet else _progress
    report = remake(store_path(place), place / "runs", tell, included(submissions), _at_least_one(jobs))
    _tell(report, store_path(place), as_json=as_json)


@app.command(
    epilog="Examples:\n\npalimpsest store query 'SHOW TABLES'\n\n"
    'palimpsest store query "SELECT run_id, metric, value FROM metrics WHERE edits = 500" --json\n\n'
    "More: docs/command-line.md"
)
def query(
    sql: Annotated[str, typer.Argument(help="One reading statement.", metavar="SQL")],
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Ask the store; it is opened for reading only."""
    with Store.open(store_path(options.home_folder(home)), read_only=True) as store:
        result = store.query(sql)
    if as_json:
        output.json_line([dict(zip(result.columns, row, strict=True)) for row in result.rows])
    else:
        output.table(result.columns, result.rows)


def _at_least_one(jobs: int) -> int:
    if jobs < 1:
        raise UsageError(f"--jobs: expected a whole number of at least 1, got {jobs}.")
    return jobs


def _progress(run: str, done: str) -> None:
    if done != "unchanged":
        output.note(f"{run} {done}")


def _tell(report: IngestReport, path: Path, *, as_json: bool) -> None:
    """Print what was done; exit 1 when something had to be left out."""
    if report.rebuilt:
        output.note(report.rebuilt)
    for problem in report.problems:
        output.note(f"{problem.path}: {problem.message}")
    if report.orphaned:
        output.note(f"In the store, but without a run folder: {', '.join(report.orphaned)} (store rebuild drops them).")
    if as_json:
        problems = [{"path": problem.path, "message": problem.message} for problem in report.problems]
        lists = {name: getattr(report, name) for name in ("added", "updated", "unchanged", "orphaned")}
        output.json_line({"store": path, **lists, "problems": problems})
    else:
        counts = ((name, len(getattr(report, name))) for name in ("added", "updated", "unchanged"))
        output.line(f"{', '.join(f'{n} {name}' for name, n in counts)}, {len(report.problems)} problems: {path}")
    if report.problems:
        raise typer.Exit(1)
