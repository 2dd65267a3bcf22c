"""`palimpsest run`: edit, checkpoint, score; skip what is done, continue what is partial."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from palimpsest.cli import means, options, output, place_options
from palimpsest.cli.carry_out import How, asked, carry_out
from palimpsest.cli.depots import address
from palimpsest.cli.flags import Flags, selected
from palimpsest.cli.hand_over import handed_over
from palimpsest.cli.many_runs import exit_code, not_run, report
from palimpsest.cli.places import Place
from palimpsest.cli.planned_runs import planned_runs
from palimpsest.cli.pool import work_on_ticket
from palimpsest.harness.errors import UsageError
from palimpsest.harness.fleet.ticket import Course
from palimpsest.harness.plugins.entry_points import misnamed
from palimpsest.tasks.registry import data_files

app = typer.Typer(add_completion=False)

WHAT = "What is run"
SCHEDULE = "Schedule"
SCORING = "Scoring"
COURSE = "Course"


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
        typer.Option("--task", help="Edit task, or TASK:FILE with its data; repeatable.", rich_help_panel=WHAT),
    ] = None,
    known: options.KnownOption = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A value of the editors' configuration, EDITOR.KEY=VALUE for one of them; repeatable.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    preset: Annotated[
        list[str] | None,
        typer.Option(
            "--preset",
            metavar="EDITOR=FILE",
            help="TOML file of values in place of those of the editor's own preset; repeatable.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(
            "--seed",
            parser=options.whole_number,
            metavar="N",
            help="Seed of the editor's randomness; repeatable.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    edits: Annotated[
        int | None,
        typer.Option(
            "--edits",
            parser=options.whole_number,
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
            parser=options.whole_number,
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
        str | None,
        typer.Option(
            "--order-seed",
            parser=options.whole_number_or_run,
            metavar="N|run",
            envvar="PALIMPSEST_ORDER_SEED",
            help="Shuffle the cases by this seed, or by each run's own; without it, the task's order.",
            rich_help_panel=SCHEDULE,
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample",
            parser=options.whole_number,
            metavar="N",
            envvar="PALIMPSEST_SAMPLE",
            help="Score at most this many cases per window; without it, all.",
            rich_help_panel=SCORING,
        ),
    ] = None,
    scoring_seed: Annotated[
        int | None,
        typer.Option(
            "--scoring-seed",
            parser=options.whole_number,
            metavar="N",
            help="Which cases are sampled; without it, seed 0.",
            rich_help_panel=SCORING,
        ),
    ] = None,
    generation: Annotated[
        int | None,
        typer.Option(
            "--generation",
            parser=options.whole_number,
            metavar="N",
            envvar="PALIMPSEST_GENERATION",
            help="Sample texts of this many cases at each checkpoint, for fluency and consistency.",
            rich_help_panel=SCORING,
        ),
    ] = None,
    generation_tokens: Annotated[
        int | None,
        typer.Option(
            "--generation-tokens",
            parser=options.whole_number,
            metavar="N",
            help="Length of a sampled text with its prompt; without it, 100.",
            rich_help_panel=SCORING,
        ),
    ] = None,
    generation_top_k: Annotated[
        int | None,
        typer.Option(
            "--generation-top-k",
            parser=options.whole_number,
            metavar="N",
            help="Each token is drawn among so many of highest probability; without it, 5.",
            rich_help_panel=SCORING,
        ),
    ] = None,
    special_tokens: Annotated[
        bool,
        typer.Option("--special-tokens", help="Keep special tokens in sampled texts, too.", rich_help_panel=SCORING),
    ] = False,
    top: Annotated[
        bool,
        typer.Option(
            "--top",
            help="Compare neighborhood prompts also with what the unedited model says.",
            rich_help_panel=SCORING,
        ),
    ] = False,
    published_top: Annotated[
        bool,
        typer.Option("--published-top", help="Compare as DeltaEdit and EasyEdit do, too.", rich_help_panel=SCORING),
    ] = False,
    reference_tokenisation: Annotated[
        bool,
        typer.Option(
            "--reference-tokenisation",
            help="Read ZsRE answers with the BOS quirk of the published evaluation.",
            rich_help_panel=SCORING,
        ),
    ] = False,
    abilities: Annotated[
        list[str] | None,
        typer.Option(
            "--abilities",
            metavar="NAME[=N]",
            help="Ability task, group, lm-eval task or folder of them, =N for at most N items; none; repeatable.",
            rich_help_panel=SCORING,
        ),
    ] = None,
    ability_limit: Annotated[
        int | None,
        typer.Option(
            "--ability-limit",
            parser=options.whole_number,
            metavar="N",
            envvar="PALIMPSEST_ABILITY_LIMIT",
            help="At most this many items per ability task.",
            rich_help_panel=SCORING,
        ),
    ] = None,
    limit: options.LimitOption = None,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Begin again; the old folder is moved aside and kept.", rich_help_panel=COURSE),
    ] = False,
    keep: options.KeepOption = None,
    keep_all: options.KeepAllOption = False,
    any_machine: options.AnyMachineOption = False,
    diagnostics: options.DiagnosticsOption = "cheap",
    data: options.DataOption = None,
    skip_bad_records: options.SkipBadOption = False,
    ability_data: options.AbilityDataOption = None,
    stats_text: options.StatsTextOption = None,
    on: place_options.OnAnyOption = None,
    slurm: place_options.SlurmOption = None,
    detach: place_options.DetachOption = False,
    gpus_per_run: place_options.GpusOption = None,
    memory: place_options.MemoryOption = None,
    page: Annotated[
        bool,
        typer.Option(
            "--page", help="Say the page's address first, and build it again after every run.", rich_help_panel=COURSE
        ),
    ] = False,
    ticket: Annotated[
        Path | None, typer.Option("--ticket", hidden=True, help="Do the work of a ticket, for the pool that wrote it.")
    ] = None,
    device: options.DeviceOption = "cpu",
    device_map: options.DeviceMapOption = None,
    offload: options.OffloadOption = False,
    engine: options.EngineOption = "hf",
    threads: options.ThreadsOption = None,
    home: options.HomeOption = None,
    depot: options.DepotOption = None,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Run editors over tasks: skip what is done, continue what is partial, begin what is missing."""
    if ticket is not None:
        raise typer.Exit(work_on_ticket(ticket))
    if limit is not None and limit < 1:
        raise UsageError(f"--limit: expected a whole number of at least 1, got {limit}.")
    place = Place(on=on, slurm=slurm, detach=detach, gpus=gpus_per_run, memory=memory)
    place.check(device=device, device_map=device_map, page=page)
    depot = None if depot is None else address(depot)
    if fresh and depot is not None:
        raise UsageError("--fresh: what is in a depot stays there. Give another folder with --depot to begin again.")
    kept = options.kept(keep, keep_all=keep_all, otherwise=place.keep)
    level = options.diagnostics_level(diagnostics)
    chosen, naming = selected(
        Flags(
            suite=suite,
            model=model or (),
            editor=editor or (),
            task=task or (),
            edits=edits,
            batch_size=batch_size,
            checkpoints=checkpoints,
            order_seed=order_seed,
            sample=sample,
            scoring_seed=scoring_seed,
            generation=generation,
            generation_tokens=generation_tokens,
            generation_top_k=generation_top_k,
            special_tokens=special_tokens,
            top=top,
            published_top=published_top,
            reference_tokenisation=reference_tokenisation,
            abilities=abilities or (),
            ability_limit=ability_limit,
            seed=seed or (),
            set=settings or (),
            preset=preset or (),
            known=known,
        )
    )
    files = data_files(data or (), chosen.tasks, skip_bad=skip_bad_records)
    given = means.checked(
        device,
        device_map,
        offload=offload,
        engine=engine,
        threads=threads,
        elsewhere=place.elsewhere,
        data=ability_data,
        text=stats_text,
        files=files,
    )
    folder = options.home_folder(home)
    unusable: dict[str, str] = {}
    planned = planned_runs(chosen, naming, given, folder, unusable=unusable, quiet=quiet)
    if not quiet:
        means.tell_of_data(*(run.task.origin for run in planned))
        for text in misnamed():
            output.note(text)
    if verbose:
        for one in planned:
            output.note(f"{one.spec.id}  {one.spec.editor.name}  {json.dumps(one.spec.editor.config)}")
    means_as_flags = asked(
        given, data=data or (), skip_bad=skip_bad_records, ability_data=ability_data or (), stats_text=stats_text
    )
    how = How(
        given=given,
        asked=means_as_flags,
        course=Course(limit=limit, diagnostics=level, keep=kept, any_machine=any_machine),
        fresh=fresh,
        quiet=quiet,
        place=place,
        depot=depot,
        page=page,
    )
    if handed_over(planned, folder, how, as_json=as_json):
        raise typer.Exit(exit_code(not_run(unusable)))
    results = carry_out(planned, folder, how) + not_run(unusable)
    report(results, as_json=as_json, built=page)
    raise typer.Exit(exit_code(results))
