"""Runs handed over to Slurm: tickets, one array of tasks for each size, and what is queued of them."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from palimpsest.cli import output
from palimpsest.cli.carry_out import How, memory_for, tickets_left
from palimpsest.cli.depots import variables
from palimpsest.cli.options import home_words
from palimpsest.cli.run_folders import move_aside
from palimpsest.cli.slurm_script import MOST_TASKS, STOP, Size, Times, script
from palimpsest.cli.slurm_verdict import told
from palimpsest.cli.ticket_kinds import PrepareTicket
from palimpsest.harness.errors import MissingResource
from palimpsest.harness.fleet.ticket import FOLDER, RunTicket
from palimpsest.harness.specs.planning import PlannedRun
from palimpsest.harness.system import child
from palimpsest.harness.system.atomic_files import atomic_write_json, atomic_write_text

SUBMISSION = "submission.json"
_FAMILIES = ("SLURM_", "SBATCH_", "SQUEUE_", "SCONTROL_", "MUNGE_")
_ALSO = ("USER", "LOGNAME", "SHELL")
_PATIENCE = 120.0
"""Seconds that a command of Slurm's may take."""

Piece = tuple[PlannedRun, RunTicket]


@dataclass(frozen=True, slots=True)
class Job:
    """An array that was submitted."""

    job: str
    """Slurm's number of it."""
    script: str
    tickets: list[str]
    """Names of the tickets, in the order of the tasks."""


def hand_over(planned: Sequence[PlannedRun], home: Path, how: How, *, again: bool = True) -> list[Job]:
    """Submit what is left of the runs and is not queued already; the arrays, in the order of their submission.

    Args:
        planned: The runs.
        home: Folder of runs and caches, which every node sees under the same path.
        how: How they are carried out.
        again: Also what has failed there, or was given up.

    Raises:
        MissingResource: There is no Slurm here, or it refuses.
    """
    waiting = set(queued(home))
    if not again:
        waiting |= {run.spec.id for run in planned if troubles(home, run.spec.id) is not None}
    left = [piece for piece in tickets_left(planned, home, how) if piece[1].name not in waiting]
    if not left:
        return []
    folder = home.absolute() / FOLDER / time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    while folder.exists():
        folder = folder.with_name(f"{folder.name}+")
    for run, ticket in left:
        if how.fresh:
            move_aside(home, run.spec.id)
        _begin_anew(ticket)
    jobs: list[Job] = []
    prepare = _prepare(left)
    try:
        for number, pieces in enumerate(_arrays(prepare, how)):
            jobs.append(_submit(folder, f"prepare-{number}", pieces, how, ()))
        before = [job.job for job in jobs]
        for number, pieces in enumerate(_arrays(left, how)):
            jobs.append(_submit(folder, f"runs-{number}", pieces, how, before))
    finally:
        if jobs:
            atomic_write_json(folder / SUBMISSION, {"jobs": [asdict(job) for job in jobs]})
    return jobs


def told_of(planned: Sequence[PlannedRun], home: Path, how: How, *, as_json: bool, again: bool = True) -> bool:
    """`hand_over`, and print what was submitted; false where all runs are over, and there is nothing to tell."""
    waiting = set(queued(home))
    jobs = hand_over(planned, home, how, again=again)
    here = sorted({run.spec.id for run in planned} & waiting)
    if not jobs and not here:
        return False
    if as_json:
        output.json_line({"jobs": jobs, "queued_before": here})
        return True
    for job in jobs:
        output.line(f"job {job.job}: {len(job.tickets)} of {job.script}")
    if here:
        output.line(f"{len(here)} runs are queued or running already")
    place = home_words(home)
    output.line(f"Then: palimpsest fleet{place}; when they have ended, the same command submits what is left")
    return True


def troubles(home: Path, run: str) -> str | None:
    """Reason for which a run has failed on Slurm, or was given up there; None: neither, as far as is told."""
    events = told(home / FOLDER / f"{run}.lines")
    verdict = next((event.get("verdict") for event in reversed(events) if event["event"] == "verdict"), None)
    if verdict not in ("failed", "given up"):
        return None
    said = next((event.get("message") for event in reversed(events) if event["event"] == "error"), None)
    return f"{verdict} on Slurm: {said}" if said else f"{verdict} on Slurm"


def _begin_anew(ticket: RunTicket) -> None:
    """Forget what earlier attempts at a ticket have told."""
    ticket.write()
    for suffix in (".lines", ".attempts", ".log"):
        ticket.place.with_suffix(suffix).unlink(missing_ok=True)


def _prepare(left: Sequence[Piece]) -> list[Piece]:
    """One ticket for what the runs of each model share, where there are several."""
    models: dict[str, list[Piece]] = {}
    for run, ticket in left:
        models.setdefault(ticket.spec.model.fingerprint, []).append((run, ticket))
    found: list[Piece] = []
    for pieces in models.values():
        if len(pieces) > 1:
            ticket = PrepareTicket.of([one for _, one in pieces])
            _begin_anew(ticket)
            found.append((next(run for run, _ in pieces if run.spec.id == ticket.spec.id), ticket))
    return found


def _arrays(pieces: Sequence[Piece], how: How) -> list[list[Piece]]:
    """The pieces by size, at most `MOST_TASKS` together, in their order."""
    sizes: dict[Size, list[Piece]] = {}
    for piece in pieces:
        sizes.setdefault(_size(piece[0], how), []).append(piece)
    return [some[start : start + MOST_TASKS] for some in sizes.values() for start in range(0, len(some), MOST_TASKS)]


def _size(run: PlannedRun, how: How) -> Size:
    placement, memory = how.given.placement, memory_for(run, how)
    on_cpu = placement.device == "cpu" and placement.device_map is None
    gpus = int(not on_cpu) if how.place.gpus is None else how.place.gpus
    if how.place.memory is not None:
        return Size(placement.threads or 1, gpus, memory >> 20)
    return Size.of(placement.threads or 1, gpus, memory)


def _times(pieces: Sequence[Piece]) -> Times:
    """Times of an array; unknown if those of one of its tickets are."""
    known = [(ticket.seconds, ticket.spec.schedule) for _, ticket in pieces if ticket.seconds is not None]
    longest = max((seconds for seconds, _ in known), default=None) if len(known) == len(pieces) else None
    batches = [seconds * schedule.batch_size / schedule.edits for seconds, schedule in known]
    return Times(longest, max(batches, default=None))


def _submit(folder: Path, name: str, pieces: list[Piece], how: How, before: Sequence[str]) -> Job:
    """Write the script of an array and submit it, to begin when the arrays ``before`` have ended, however."""
    names = folder / f"{name}.list"
    atomic_write_text(names, "".join(f"{ticket.place}\n" for _, ticket in pieces))
    place = folder / f"{name}.sh"
    size = _size(pieces[0][0], how)
    atomic_write_text(place, script(folder, names, len(pieces), size, _times(pieces), how.place.slurm or ""))
    after = [f"--dependency=afterany:{':'.join(before)}"] if before else []
    reached = variables() if how.depot is not None else {}
    said = call("sbatch", "--parsable", *after, str(place), further=reached).strip()
    number = said.partition(";")[0]
    if not number.isdecimal():
        raise MissingResource(
            f"sbatch gave no number of a job, and {place.name} is not followed: {output.clean(said[:500])}"
        )
    return Job(number, place.name, [ticket.name for _, ticket in pieces])


def jobs_of(home: Path) -> dict[Path, list[Job]]:
    """Folder of each submission of a home → its arrays; the newest last."""
    found: dict[Path, list[Job]] = {}
    for path in sorted((home / FOLDER).glob(f"*/{SUBMISSION}")):
        with suppress(OSError, ValueError, TypeError, KeyError):
            found[path.parent] = [Job(**job) for job in json.loads(path.read_bytes())["jobs"]]
    return found


def queued(home: Path) -> dict[str, str]:
    """Names of a home's tickets that Slurm has → state of their tasks, as ``pending`` or ``running``.

    Raises:
        MissingResource: There is no Slurm here, or it does not answer.
    """
    states: dict[str, str] = {}
    for line in call("squeue", "--me", "--noheader", "--array", "--format=%F_%K %T").splitlines():
        task, _, state = line.strip().partition(" ")
        states[task] = state.strip().lower()
    return {
        name: states[f"{job.job}_{number}"]
        for jobs in jobs_of(home).values()
        for job in jobs
        for number, name in enumerate(job.tickets)
        if f"{job.job}_{number}" in states
    }


def stop(home: Path) -> list[str]:
    """Let what waits go, and have what runs save and end; names of the tickets that this concerns.

    Raises:
        MissingResource: There is no Slurm here, or it refuses.
    """
    states = queued(home)
    for folder, jobs in jobs_of(home).items():
        living = [job.job for job in jobs if any(name in states for name in job.tickets)]
        if living:
            atomic_write_text(folder / STOP, "")
            call("scancel", "--state=PENDING", *living)
            call("scancel", "--batch", "--signal=TERM", *living)
    return sorted(states)


def call(name: str, *arguments: str, further: Mapping[str, str] | None = None) -> str:
    """Output of a command of Slurm's, which gets ``further`` environment variables.

    Raises:
        MissingResource: It is not here, fails, or does not end.
    """
    known = {key: value for key, value in os.environ.items() if key.startswith(_FAMILIES) or key in _ALSO}
    try:
        done = child.program(name, *arguments, variables={**known, **(further or {})}, timeout=_PATIENCE)
    except FileNotFoundError as error:
        raise MissingResource(
            f"There is no {name} here. Give the command on a machine that submits to Slurm, or leave --on slurm out."
        ) from error
    except (OSError, subprocess.SubprocessError) as error:
        raise MissingResource(f"{name} cannot be run: {error}.") from error
    said = done.stdout.decode(errors="replace")
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip() or said.strip()
        raise MissingResource(f"{name} ended with exit code {done.returncode}: {output.clean(reason[-500:])}")
    return said
