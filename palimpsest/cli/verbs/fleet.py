"""`palimpsest fleet`: the runs that were handed over, their log, and their end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from palimpsest.cli import options, output, slurm
from palimpsest.cli.fleet_on_ray import going_on_ray, stop_on_ray
from palimpsest.cli.fleet_table import rows
from palimpsest.cli.places import Place
from palimpsest.cli.run_folders import find_run
from palimpsest.harness.errors import MissingResource, UsageError, unknown_name
from palimpsest.harness.fleet.ticket import FOLDER

app = typer.Typer(add_completion=False)
_WORDS = ("stop", "log")


@app.command(
    epilog="Examples:\n\npalimpsest fleet\n\npalimpsest fleet stop\n\npalimpsest fleet log 3f9c\n\n"
    "More: docs/cluster.md"
)
def fleet(
    what: Annotated[
        str | None, typer.Argument(help="stop: have all save and end; log: what a run printed.", metavar="[stop|log]")
    ] = None,
    run: Annotated[
        str | None, typer.Argument(help="With log: a run's id, or the beginning of it.", metavar="RUN")
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="ray[:HOST:PORT]|slurm",
            envvar="PALIMPSEST_ON",
            help="Ask this Ray cluster, or Slurm, what waits and what runs.",
            show_default="Slurm, where runs of the home were handed over to it",
        ),
    ] = None,
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Show the runs that were handed over to Slurm or a Ray cluster, stop them, or show what one printed."""
    place = options.home_folder(home)
    where = Place(on=on)
    where.check()
    address = where.address
    if what is not None and what not in _WORDS:
        raise unknown_name("Word", what, _WORDS, "palimpsest fleet --help")
    if (what == "log") != (run is not None):
        raise UsageError("palimpsest fleet log RUN: log takes the id of a run, and nothing else does.")
    if run is not None:
        path = place / FOLDER / f"{_name(place, run)}.log"
        nothing = "Nothing: it has not begun, or is done, and what it printed is removed."
        output.line(path.read_text(encoding="utf-8", errors="replace").rstrip() if path.is_file() else nothing)
        return
    if what == "stop":
        on_slurm = address is None and bool(slurm.jobs_of(place))
        stopped = stop_on_ray(place, address) if address else slurm.stop(place) if on_slurm else []
        if as_json:
            output.json_line({"stopped": stopped})
        elif address is None and not on_slurm:
            output.line(f"No runs of {place} are on Slurm. Those on a Ray cluster: palimpsest fleet stop --on ray")
        else:
            output.line(f"{len(stopped)} are told to stop; the same command as before goes on with them.")
        return
    try:
        queued = _queued(place, address)
    except MissingResource as error:
        output.note(f"What waits and what runs is not known: {error}")
        queued = {}
    found = rows(place, queued)
    if as_json:
        output.json_line(found)
        return
    if not found:
        begin = f"palimpsest run --suite smoke --on {on or 'slurm'}"
        output.note(f"No runs of {place} are handed over. Do it with: {begin}")
        return
    columns = ("run", "editor", "model", "task", "seed", "state", "edits", "by", "reason")
    output.table(columns, [(r.run, r.editor, r.model, r.task, r.seed, r.state, f"{r.edits} of {r.edits_planned}",
                            r.holder or "", r.reason or "") for r in found])  # fmt: skip


def _queued(home: Path, address: str | None) -> dict[str, str]:
    """Names of tickets that wait or run elsewhere, with their states."""
    if address is not None:
        return going_on_ray(home, address)
    return slurm.queued(home) if slurm.jobs_of(home) else {}


def _name(home: Path, run: str) -> str:
    """Name of the ticket that begins so; of the run folder, where no ticket or several do."""
    names = [path.stem for path in (home / FOLDER).glob("*.json") if path.stem.startswith(run)]
    return names[0] if len(names) == 1 else find_run(home, run).name
