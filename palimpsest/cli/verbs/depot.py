"""`palimpsest depot`: look at the runs of a depot, and mirror them in a home."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from palimpsest.cli import options, output
from palimpsest.cli.depots import opened
from palimpsest.harness.errors import PalimpsestError, UsageError

if TYPE_CHECKING:
    from palimpsest.harness.depot.head import Head

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Look at the runs of a depot, and mirror them.")


@app.command("list", epilog="Example:\n\npalimpsest depot list --depot s3://bucket/folder\n\nMore: docs/cluster.md")
def show(depot: options.DepotOption = None, as_json: options.JsonOption = False) -> None:
    """List the runs of a depot: how far each is, and who works on it."""
    # Late: --help needs none of it.
    from palimpsest.cli.depot_mirror import heads

    found, damaged = heads(opened(_given(depot)))
    rows = [(head.run, head.status, head.edits, _worker(head)) for head in found]
    columns = ("run", "status", "edits", "worker")
    if as_json:
        output.json_line([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        output.table(columns, rows)
    _end(damaged)


@app.command(
    epilog="Examples:\n\npalimpsest depot pull --depot s3://bucket/folder && palimpsest store ingest\n\n"
    "palimpsest depot pull 3f9c --depot s3://bucket/folder --checkpoints\n\nMore: docs/cluster.md"
)
def pull(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Ids of runs, or their beginnings, ended or not; without any, all that have ended."),
    ] = None,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Also the saved weights, which are large, to export or go on here.")
    ] = False,
    depot: options.DepotOption = None,
    home: options.HomeOption = None,
    quiet: options.QuietOption = False,
) -> None:
    """Mirror runs of a depot in the home, for store ingest, show and submit; what is there already is not fetched."""
    # Late: --help needs none of it.
    from palimpsest.cli.depot_mirror import heads, mirror

    store, place = opened(_given(depot)), options.home_folder(home)
    found, damaged = heads(store)
    chosen = _chosen(found, runs or ())
    troubles: list[PalimpsestError] = [*damaged]
    pulled = 0
    for head in chosen:
        try:
            new = mirror(store, place, head, saves=checkpoints)
        except PalimpsestError as trouble:
            troubles.append(trouble)
            continue
        pulled += new
        if new and not quiet:
            output.note(f"{head.run} {head.status}")
    output.line(f"{place / 'runs'}: {len(chosen)} from the depot, {pulled} of them new or changed")
    _end(troubles)


def _end(troubles: Sequence[PalimpsestError]) -> None:
    """Tell of what went wrong; the exit code is that of the first."""
    for trouble in troubles:
        output.note(str(trouble))
    if troubles:
        raise typer.Exit(troubles[0].exit_code)


def _given(depot: str | None) -> str:
    if depot is None:
        raise UsageError("Which depot? Give --depot s3://bucket/folder, or set PALIMPSEST_DEPOT.")
    return depot


def _worker(head: Head) -> str:
    """Host and process of the owner, which may have died since; empty: nobody."""
    return head.owner.partition(" ")[0]


def _chosen(found: Sequence[Head], names: Sequence[str]) -> list[Head]:
    """The heads whose runs begin with one of the names; without names, those that have ended.

    Raises:
        UsageError: A name is the beginning of none.
    """
    if not names:
        return [head for head in found if head.is_over or head.status == "failed"]
    for name in names:
        if not any(head.run.startswith(name) for head in found):
            raise UsageError(f"Run {name!r} is not in the depot. All: palimpsest depot list")
    return [head for head in found if head.run.startswith(tuple(names))]
