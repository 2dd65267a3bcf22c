"""`palimpsest claims`: run what a set of claims needs, and print what the runs say about each claim."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from palimpsest.cli import claims_text, means, options, output, place_options
from palimpsest.cli.carry_out import How, asked
from palimpsest.cli.hand_over import results_of_all
from palimpsest.cli.many_runs import exit_code, last_line, own_command
from palimpsest.cli.places import Place
from palimpsest.cli.planned_runs import planned_runs
from palimpsest.cli.store_place import included, store_path
from palimpsest.harness.errors import UsageError
from palimpsest.harness.fleet.ticket import Course
from palimpsest.harness.forecast.outlook import Outlook
from palimpsest.harness.runs.reading import ENDED, run_state
from palimpsest.harness.specs.planning import PlannedRun
from palimpsest.harness.system.validation_messages import dotted
from palimpsest.results.analysis.claims import outcomes
from palimpsest.results.store.claim_record import ClaimRecord, RowRun, write_record
from palimpsest.results.store.claim_values import measured
from palimpsest.results.store.database import Store
from palimpsest.results.store.ingest import IngestReport, ingest_all
from palimpsest.tasks.claim_files import ClaimSet, load_claims

app = typer.Typer(add_completion=False)
Planned = dict[tuple[str, int], PlannedRun]
"""(row, seed) → the run; two rows that have come to one configuration share theirs."""


@app.command(
    epilog="Examples:\n\npalimpsest claims\n\npalimpsest claims pocket-llama --dry-run\n\n"
    "palimpsest claims mine.toml --only-verdicts --json\n\n"
    "The same command continues what was interrupted. More: docs/claims.md"
)
def claims(
    name: Annotated[
        str, typer.Argument(help="A set of palimpsest list claims, or a TOML file.", metavar="[SET]")
    ] = "pocket-llama",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Run nothing: show each run, how far it is, and how long it takes.")
    ] = False,
    only_verdicts: Annotated[
        bool, typer.Option("--only-verdicts", help="Run nothing: say what the runs that are there say.")
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown tables.", rich_help_panel=options.OUTPUT)
    ] = False,
    publish: Annotated[
        Path | None,
        typer.Option(
            "--publish",
            metavar="FOLDER",
            help="Keep the claims with the numbers of all their runs there, for pages that lack some of the runs.",
        ),
    ] = None,
    submissions: options.SubmissionsOption = options.SUBMISSIONS,
    on: place_options.OnAnyOption = None,
    slurm: place_options.SlurmOption = None,
    detach: place_options.DetachOption = False,
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """Run what a set of claims needs, and say which claims are shown, refuted or open."""
    if dry_run and publish is not None:
        raise UsageError("--dry-run shows runs, and has no numbers to --publish.")
    if dry_run and only_verdicts:
        raise UsageError("--dry-run and --only-verdicts exclude each other; give one of them.")
    if markdown and (as_json or dry_run):
        raise UsageError("--markdown prints verdicts, without --json and --dry-run.")
    options.writable_folder(publish, "--publish")
    where = Place(on=on, slurm=slurm, detach=detach)
    where.check()
    place = options.home_folder(home)
    found = load_claims(name)
    given = means.checked("cpu", None, offload=False)
    planned = _plan(found, name, given, place, fetch=not (dry_run or only_verdicts))
    if dry_run:
        _look_ahead(found, planned, place, given, as_json=as_json)
        return
    how = How(given=given, asked=asked(given), course=Course(keep=where.keep), quiet=quiet, place=where)
    bundles = included(submissions)

    def bring_in() -> IngestReport:
        return ingest_all(store_path(place), place / "runs", submissions=bundles)

    report = None if bundles is None else bring_in()
    published = set() if report is None else _published(planned, place)
    left = [] if only_verdicts else _left(planned, published, place, quiet=quiet)
    code = _run(left, place, how, as_json=as_json)
    if code is None:
        output.note("The verdicts come with the same command, when the runs have ended.")
        raise typer.Exit(3)
    if code in (130, 143):
        output.note(f"Not complete; continue: {own_command()}")
        raise typer.Exit(code)
    if left or report is None:
        report = bring_in()
    for problem in report.problems:
        output.note(f"{problem.path}: {problem.message}")
    record = _record(found, planned)
    write_record(place / "claims", record)
    with Store.open(store_path(place), read_only=True) as store:
        runs = measured(store, record.run_ids)
    judged = outcomes(found, record.by_row, runs)
    view = claims_text.View(record, runs, judged)
    if as_json:
        output.json_line(view.as_json())
    else:
        view.print_markdown() if markdown else view.print_table()
        if not quiet:
            output.note(f"On a page of their own: palimpsest site build{options.home_words(place)}")
    if code or report.problems:
        raise typer.Exit(code or 1)
    if publish is not None:
        if lacking := sum(bool(one.lacking) for one in judged):
            raise UsageError(f"--publish: {lacking} claims have no verdict yet; nothing is said on a part of the runs.")
        write_record(publish, record.with_numbers(runs))


def _plan(found: ClaimSet, name: str, given: means.Means, home: Path, *, fetch: bool) -> Planned:
    """The run of each row and seed; the same runs as those of the suite, where a row is one of its own."""

    def where(path: Sequence[str | int]) -> str:
        if path[0] == "editors":
            return f"claims {name}, row {found.rows[int(path[1])].name}"
        return f"suite {found.suite}, {dotted(path)}"

    runs = planned_runs(found.suite_of_rows(), where, given, home, fetch=fetch)
    places = [(row.name, seed) for seed in found.seeds for row in found.rows]
    return dict(zip(places, runs, strict=True))


def _each_once(planned: Planned) -> list[PlannedRun]:
    return list({run.spec.id: run for run in planned.values()}.values())


def _record(found: ClaimSet, planned: Planned) -> ClaimRecord:
    runs = tuple(
        RowRun(row=row, seed=seed, run=run.spec.id, batch_size=run.spec.schedule.batch_size)
        for (row, seed), run in planned.items()
    )
    return ClaimRecord(claims=found, runs=runs)


def _published(planned: Planned, home: Path) -> set[str]:
    """Ids of runs in the store that ended: published ones count as runs of this home, and are not done again."""
    with Store.open(store_path(home), read_only=True) as store:
        found = measured(store, [run.spec.id for run in _each_once(planned)])
    return {run_id for run_id, one in found.items() if one.status in ENDED}


def _left(planned: Planned, published: Collection[str], home: Path, *, quiet: bool) -> list[PlannedRun]:
    """Runs that have not ended, neither in this home nor where they were published."""
    runs = _each_once(planned)
    left = [run for run in runs if run.spec.id not in published and run_state(home, run.spec).status not in ENDED]
    if not quiet:
        output.note(f"{len(left)} of {len(runs)} runs are left.")
    return left


def _run(left: Sequence[PlannedRun], home: Path, how: How, *, as_json: bool) -> int | None:
    """Do these runs; the exit code, None where they are handed over and go on by themselves."""
    results = results_of_all(left, home, how, as_json=as_json) if left else []
    if results is None:
        return None
    for result in results:
        if result.reason and not how.quiet:
            output.note(last_line(result, own_command()))
    return exit_code(results)


def _look_ahead(found: ClaimSet, planned: Planned, home: Path, given: means.Means, *, as_json: bool) -> None:
    """Show each run of the set; nothing is run and nothing measured."""
    outlook = Outlook(home, given.placement, given.installed, statistics=None, measure=False, tell=output.note)
    runs = _each_once(planned)
    rows = {run.spec.id: row for run, row in zip(runs, outlook.rows(runs), strict=True)}
    shown = [
        {"row": row, "seed": seed, "batch_size": run.spec.schedule.batch_size, **_of_run(rows[run.spec.id])}
        for (row, seed), run in planned.items()
    ]
    if as_json:
        output.json_line({"set": found.name, "runs": shown})
        return
    columns = ("run", "row", "batch_size", "seed", "state")
    output.table(
        [*(column.replace("_", " ") for column in columns), "takes"],
        [[*(one[column] for column in columns), output.duration(one["seconds"])] for one in shown],
    )
    left = [row for row in rows.values() if row["seconds"] != 0]
    known = [row["seconds"] for row in left if row["seconds"] is not None]
    takes = f", about {output.duration(sum(known))} one after another" if known and len(known) == len(left) else ""
    output.line(f"{len(left)} of {len(rows)} runs are left{takes}.")


def _of_run(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("run", "editor", "state", "seconds")}
