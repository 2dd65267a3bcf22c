"""Runs that are handed over, to Slurm or to a Ray cluster that nobody watches; the same command goes on with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from palimpsest.cli import output
from palimpsest.cli.carry_out import How, carry_out, make_room, result_at, tickets_left
from palimpsest.cli.many_runs import RunResult, own_command
from palimpsest.cli.ray_pool import leave_to_ray, noise_into
from palimpsest.cli.slurm import told_of, troubles
from palimpsest.cli.ticket_kinds import prepared_first
from palimpsest.harness.fleet.ticket import FOLDER
from palimpsest.harness.runs.reading import ENDED
from palimpsest.harness.specs.planning import PlannedRun


def handed_over(planned: Sequence[PlannedRun], home: Path, how: How, *, as_json: bool = False) -> bool:
    """Hand over what is left, and print what comes next; false where the command has to go on itself.

    That is where all runs are over, or where the place does not take runs over.

    Args:
        planned: The runs.
        home: Folder of runs and caches.
        how: How they are carried out.
        as_json: Print what was handed over as JSON.

    Raises:
        MissingResource: Slurm or the cluster is not there, or refuses.
    """
    if how.place.on_slurm:
        return told_of(planned, home, how, as_json=as_json)
    return how.place.detach and _to_ray(planned, home, how, as_json=as_json)


def results_of_all(
    planned: Sequence[PlannedRun], home: Path, how: How, *, as_json: bool = False
) -> list[RunResult] | None:
    """Results of runs that are wanted together; None: some are handed over, and go on without this process.

    What has failed on Slurm or was given up there is not handed over again, or a failing run would put off the
    results of all for ever. Arguments and errors are those of `handed_over`.
    """
    if not how.place.on_slurm:
        return None if handed_over(planned, home, how, as_json=as_json) else carry_out(planned, home, how)
    if told_of(planned, home, how, as_json=as_json, again=False):
        return None
    result = result_at(home, how)

    def one(run: PlannedRun) -> RunResult:
        found, reason = result(run), troubles(home, run.spec.id)
        over = found.status in ENDED  # elsewhere, since
        return found if over or reason is None else result(run, error=reason, code=1)

    return [one(run) for run in planned]


def _to_ray(planned: Sequence[PlannedRun], home: Path, how: How, *, as_json: bool) -> bool:
    pieces = tickets_left(planned, home, how)
    if not pieces:
        return False
    for run, _ in pieces:
        make_room(run, home, how)
    with noise_into(home / FOLDER / "ray.log"):
        leave_to_ray(prepared_first([ticket for _, ticket in pieces]), str(how.place.address), fresh=how.fresh)
    if as_json:
        output.json_line({"handed_over": sorted(ticket.name for _, ticket in pieces)})
    else:
        output.line(f"{len(pieces)} runs are on the Ray cluster. Watch them, or stop them with Ctrl-C: {own_command()}")
    return True
