"""`palimpsest locate`: places in a model where facts are kept, and the blocks that are to be edited."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from palimpsest.cli import means, options, output
from palimpsest.cli.many_runs import own_command
from palimpsest.cli.tuning import protocol
from palimpsest.cli.wiring import installed_catalog
from palimpsest.harness.errors import MissingResource, UsageError
from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.model.placement import use_threads
from palimpsest.tasks.registry import data_files

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.cases import EditRequest, EditTask

app = typer.Typer(add_completion=False)
_CHUNK = 32
"""Requests that are looked through at once for known facts."""


@app.command(
    epilog="Examples:\n\npalimpsest locate smollm2-135m\n\n"
    "palimpsest locate ./my-model --facts 100 --draws 10 --figure where.pdf\n\nMore: docs/tuning.md"
)
def locate(
    model: Annotated[str, typer.Argument(help="Name, folder or hub id.", metavar="MODEL")],
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            help="Task that the facts are from; never the benchmark itself.",
            show_default="the tuning split of the pocket world for pocket models, of real facts for others",
        ),
    ] = None,
    facts: Annotated[
        int, typer.Option("--facts", parser=options.whole_number, metavar="N", help="Known facts that are traced.")
    ] = 40,
    draws: Annotated[
        int, typer.Option("--draws", parser=options.whole_number, metavar="N", help="Draws of noise for each.")
    ] = 4,
    targets: Annotated[
        int,
        typer.Option(
            "--targets", parser=options.whole_number, metavar="N", help="Requests whose target vectors are searched."
        ),
    ] = 8,
    blocks: Annotated[
        int,
        typer.Option(
            "--blocks", parser=options.whole_number, metavar="N", help="Blocks at which they are searched, at most."
        ),
    ] = 8,
    figure: Annotated[
        Path | None, typer.Option("--figure", help="Write the figure there: PDF, SVG or PNG.", metavar="FILE")
    ] = None,
    data: options.DataOption = None,
    skip_bad_records: options.SkipBadOption = False,
    device: options.DeviceOption = "cpu",
    threads: options.ThreadsOption = None,
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """Trace known facts through a model's blocks, and propose those that editors are to write."""
    # Late: torch loads in 2 s, which --help and a wrong word need not wait for.
    from palimpsest.cli.locating import proposal, reach, report, tracing
    from palimpsest.harness.runs.loaded_model import load

    _check(facts=facts, draws=draws, targets=targets, blocks=blocks)
    report.check_figure(figure)
    options.writable_file(figure, "--figure")
    name = task or protocol.split_of(resolve(model).name)
    files = data_files(data or (), [name.partition(":")[0]], skip_bad=skip_bad_records)
    given = means.checked(device, None, offload=False, threads=threads, files=files)
    found = given.installed.tasks.load(name)
    means.tell_of_data(found.origin)
    ref, entry = installed_catalog(given.installed).model(model)
    place = options.home_folder(home)
    use_threads(given.placement)
    loaded = load(entry, place, placement=given.placement, texts=given.installed.texts).model

    def tell(text: str) -> None:
        if not quiet:
            output.note(text)

    def traced_so_far(done: int, of: int) -> None:
        if done % 10 == 0:
            tell(f"{done} of {of} facts traced")

    requests = _known(loaded, found, max(facts, targets))
    tell(f"{len(requests)} facts of {found.name} that {entry.name} knows; tracing {min(facts, len(requests))}.")
    traced = tracing.trace(loaded, requests[:facts], draws=draws, tell=traced_so_far)
    reached = reach.reach(
        loaded,
        requests[:targets],
        reach.spread(loaded.anatomy.n_layers, blocks),
        lambda one: tell(f"block {one.block}: {one.reached} of {one.requests} targets reached"),
    )
    chosen = proposal.propose(traced, reached, loaded.anatomy.n_layers)
    kept = proposal.place(place, ref.fingerprint)
    proposal.keep(kept, entry.name, own_command(), chosen)
    same = [*options.repeated("--data", data), *(["--skip-bad-records"] if skip_bad_records else [])]
    more = [] if task is None else ["--task", task, "--known", *same]  # `tune` chooses as this command does without
    next_words = shlex.join(["palimpsest", "tune", "--all", "--model", model, *more]) + options.home_words(place)
    made = report.Report(model, found.name, traced, tuple(reached), chosen, kept, next_words)
    if figure is not None:
        report.draw(made, figure)
    if as_json:
        output.json_line(made.as_json())
    else:
        made.print()


def _check(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise UsageError(f"--{name}: expected a whole number of at least 1, got {number}.")


def _known(model: EditableModel, task: EditTask, wanted: int) -> Sequence[EditRequest]:
    """The first requests of a task whose true objects the model gives, so many or fewer.

    Raises:
        MissingResource: It knows none.
    """
    # Late: torch comes with it.
    from palimpsest.cli.known_facts import known_requests

    found: list[EditRequest] = []
    for start in range(0, len(task.cases), _CHUNK):
        found += known_requests(model, task.cases[start : start + _CHUNK])
        if len(found) >= wanted:
            return found[:wanted]
    if not found:
        raise MissingResource(f"{model.name} knows no fact of {task.name}: nothing to trace. Give another --task.")
    return found
