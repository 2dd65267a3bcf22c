"""`palimpsest run`: edit, checkpoint, score; skip what is done, continue what is partial."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from palimpsest.harness.cli import output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from palimpsest.harness.executor import RunOutcome, RunPlan
    from palimpsest.harness.planning import PlannedRun

app = typer.Typer()

WHAT, SCHEDULE, SCORING, COURSE = "What is run", "Schedule", "Scoring", "Course"


@app.command(
    epilog="Examples:\n\npalimpsest run --suite smoke\n\n"
    "palimpsest run --suite pocket --editor alphaedit --seed 1\n\n"
    "palimpsest run --model pocket-llama --editor memit --task pocket-counterfact --edits 200 --batch-size 50 "
    "--checkpoints 0,50,100,200 --set second_moment_weight=1000\n\n"
    "The same command continues what was interrupted. More: docs/command-line.md"
)
def run(
    suite: Annotated[
        str | None,
        typer.Option(
            "--suite",
            envvar="PALIMPSEST_SUITE",
            help="Name of a suite or a YAML file; other flags change it.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="Name, folder or hub id; repeatable.", rich_help_panel=WHAT),
    ] = None,
    editor: Annotated[
        list[str] | None, typer.Option("--editor", help="Editor; repeatable.", rich_help_panel=WHAT)
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option("--task", help="Edit task, or counterfact:FILE, zsre:FILE; repeatable.", rich_help_panel=WHAT),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A value of the editors' configuration, EDITOR.KEY=VALUE for one of them; repeatable.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(
            "--seed",
            parser=output.whole_number,
            metavar="N",
            help="Seed of the editor's randomness; repeatable.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    edits: Annotated[
        int | None,
        typer.Option(
            "--edits",
            parser=output.whole_number,
            metavar="N",
            envvar="PALIMPSEST_EDITS",
            help="How many edits.",
            rich_help_panel=SCHEDULE,
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size",
            parser=output.whole_number,
            metavar="N",
            envvar="PALIMPSEST_BATCH_SIZE",
            help="Edits per batch.",
            rich_help_panel=SCHEDULE,
        ),
    ] = None,
    checkpoints: Annotated[
        str | None,
        typer.Option(
            "--checkpoints",
            metavar="N,N,…",
            envvar="PALIMPSEST_CHECKPOINTS",
            help="Numbers of edits after which is scored; the last is the number of edits.",
            rich_help_panel=SCHEDULE,
        ),
    ] = None,
    order_seed: Annotated[
        int | None,
        typer.Option(
            "--order-seed",
            parser=output.whole_number,
            metavar="N",
            envvar="PALIMPSEST_ORDER_SEED",
            help="Shuffle the cases by this seed; without it, the task's order.",
            rich_help_panel=SCHEDULE,
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample",
            parser=output.whole_number,
            metavar="N",
            envvar="PALIMPSEST_SAMPLE",
            help="Score at most this many cases per window; without it, all.",
            rich_help_panel=SCORING,
        ),
    ] = None,
    abilities: Annotated[
        list[str] | None,
        typer.Option("--abilities", help="Ability task or group; none for none; repeatable.", rich_help_panel=SCORING),
    ] = None,
    ability_limit: Annotated[
        int | None,
        typer.Option(
            "--ability-limit",
            parser=output.whole_number,
            metavar="N",
            envvar="PALIMPSEST_ABILITY_LIMIT",
            help="At most this many items per ability task.",
            rich_help_panel=SCORING,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            parser=output.whole_number,
            metavar="N",
            help="Stop after this many edits of each run; the run stays partial and unranked.",
            rich_help_panel=COURSE,
        ),
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Begin again; the old folder is moved aside and kept.", rich_help_panel=COURSE),
    ] = False,
    home: output.HomeOption = None,
    as_json: output.JsonOption = False,
    quiet: output.QuietOption = False,
    verbose: output.VerboseOption = False,
) -> None:
    """Run editors over tasks: skip what is done, continue what is partial, begin what is missing."""
    from palimpsest.harness.cli.flags import Flags, selected
    from palimpsest.harness.planning import installed_catalog, plan

    chosen, place = selected(
        Flags(
            suite=suite,
            models=model or (),
            editors=editor or (),
            tasks=task or (),
            edits=edits,
            batch_size=batch_size,
            checkpoints=checkpoints,
            seeds=seed or (),
            order_seed=order_seed,
            settings=settings or (),
            abilities=abilities or (),
            ability_limit=ability_limit,
            sample=sample,
        )
    )
    planned = plan(chosen, installed_catalog(), place=place)
    place_of_runs = output.home_folder(home)
    execute = executor_for(place_of_runs, limit=limit, fresh=fresh, quiet=quiet, verbose=verbose)
    results = run_all(planned, place_of_runs, execute, quiet=quiet)
    if as_json:
        output.json_line(results)
    else:
        for result in results:
            output.line(last_line(result, command()))
        output.line("Then: palimpsest store ingest && palimpsest site build")
    raise typer.Exit(exit_code(results))
