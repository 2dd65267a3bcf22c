"""Runs carried out: one after another in this process, or several at once in processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

from palimpsest.cli import means, output, streams
from palimpsest.cli.board import make_board
from palimpsest.cli.many_runs import STOPPED, RunResult, own_command, result_of, run_all
from palimpsest.cli.page_builder import PageBuilder
from palimpsest.cli.progress import make_progress
from palimpsest.cli.wiring import installation
from palimpsest.harness.errors import UsageError
from palimpsest.harness.fleet.dispatch import Dispatcher, RunEnd
from palimpsest.harness.fleet.local import LocalKeeper, forget, slots
from palimpsest.harness.fleet.ticket import Course, Means, Ticket, read_ticket, versions_here
from palimpsest.harness.forecast.history import past_costs
from palimpsest.harness.forecast.prediction import predict_run
from palimpsest.harness.model.needs import needs, shape_of
from palimpsest.harness.runs.folder import move_aside
from palimpsest.harness.runs.reading import run_state
from palimpsest.harness.specs.planning import PlannedRun
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.harness.system.interrupts import Interrupts
from palimpsest.tasks.registry import data_files

LEAST_BYTES = 1_000_000_000
"""Memory of a run on a pocket model, measured; what larger models need is computed."""
_MARGIN = 1.3
"""Needed memory is a lower bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """Settings by which runs are carried out; nothing here changes a number."""

    given: means.Means
    asked: Means
    """The same as flags, for other processes."""
    course: Course = Course()
    fresh: bool = False
    quiet: bool = False
    on: str | None = None
    """``local`` or ``local:N``; None: as many at once as cores and memory allow, where there is more than one run."""
    page: bool = False
    """Build the page again after every run."""


def asked(
    given: means.Means,
    *,
    data: Sequence[str] = (),
    skip_bad: bool = False,
    ability_data: Sequence[Path] = (),
    stats_text: Path | None = None,
) -> Means:
    """The means of runs as flags that hold in any folder, for the tickets of other processes.

    Args:
        given: The checked means.
        data: As given with ``--data``.
        skip_bad: ``--skip-bad-records``.
        ability_data: Folders given with ``--ability-data``.
        stats_text: The path given with ``--stats-text``.
    """
    placement = given.placement
    return Means(
        device=placement.device,
        device_map=placement.device_map,
        offload=placement.offload,
        engine=placement.engine,
        threads=placement.threads,
        data=tuple(map(_absolute_data, data)),
        skip_bad=skip_bad,
        ability_data=tuple(str(folder.absolute()) for folder in ability_data),
        abilities=tuple(str(path.absolute()) for path in given.installed.abilities.brought),
        stats_text=None if stats_text is None else str(stats_text.absolute()),
    )


def _absolute_data(value: str) -> str:
    """``FILE`` or ``TASK=FILE`` with the file's absolute path."""
    task, equals, place = value.partition("=")
    if Path(value).exists() or not equals:
        return str(Path(value).absolute())
    return f"{task}={Path(place).absolute()}"


def carry_out(planned: Sequence[PlannedRun], home: Path, how: How) -> list[RunResult]:
    """Do the runs; their results in the order of the plan. After a signal, runs that were not begun have none.

    Args:
        planned: The runs.
        home: Folder of runs, caches and store.
        how: How they are carried out.

    Raises:
        UsageError: ``--on`` has a value that does not exist.
    """
    wanted = at_once(how.on)
    page = PageBuilder(home) if how.page else None

    def finished(result: RunResult) -> None:
        if page is not None:
            page.again()

    try:
        left = [run for run in planned if how.fresh or run_state(home, run.spec).status in _LEFT]
        count = _slots(left, how, wanted)
        if count > 1:
            for_pool = {run.spec.id for run in left}
            done = [run for run in planned if run.spec.id not in for_pool]
            results = _one_after_another(done, home, how, finished) if done else []
            if not any(result.status in STOPPED for result in results):
                results += _several_at_once(left, home, how, count, finished)
            place = {run.spec.id: number for number, run in enumerate(planned)}
            return sorted(results, key=lambda result: place[result.run])
        return _one_after_another(planned, home, how, finished)
    finally:
        if page is not None:
            page.close()


_LEFT = ("missing", "partial", "failed")


def at_once(text: str | None) -> int | None:
    """The number of ``--on local:N``; None: it is left to the machine.

    Raises:
        UsageError: It is neither ``local`` nor ``local:N``.
    """
    if text in (None, "local"):
        return None
    kind, _, number = str(text).partition(":")
    if kind != "local" or not (number.isascii() and number.isdecimal()) or int(number) < 1:
        raise UsageError(f"--on: expected local or local:N, with N runs at once, got {text!r}.")
    return int(number)


def _slots(left: Sequence[PlannedRun], how: How, wanted: int | None) -> int:
    """Runs at once; 1 means: in this process."""
    placement = how.given.placement
    if len(left) < 2 or (how.on is None and (placement.device != "cpu" or placement.device_map is not None)):
        return 1
    return slots(wanted, len(left), placement.threads or 1, max(_bytes(run, how) for run in left))


def _bytes(run: PlannedRun, how: How) -> int:
    shape = shape_of(run.model)
    if shape is None:
        return LEAST_BYTES
    found = needs(run.model, shape, run.spec.editor.config, how.given.placement)
    return max(LEAST_BYTES, round(_MARGIN * found.host_memory))


def _one_after_another(
    planned: Sequence[PlannedRun], home: Path, how: How, finished: Callable[[RunResult], None]
) -> list[RunResult]:
    """Do the runs in this process; they share the loaded model."""
    # Late: torch loads in 2 s, which --help and a wrong word need not wait for.
    from palimpsest.harness.runs.executor import Executor
    from palimpsest.harness.runs.run import RunSettings

    settings = RunSettings(keep_checkpoints=how.course.keep, limit=how.course.limit, diagnostics=how.course.diagnostics)
    with Interrupts() as interrupts:
        executor = Executor(
            home,
            progress=make_progress(quiet=how.quiet),
            settings=settings,
            interrupts=interrupts,
            placement=how.given.placement,
            installed=how.given.installed,
            statistics=how.given.statistics,
        )

        def execute(run: PlannedRun) -> str | None:
            _make_room(run, home, how)
            return executor.execute(run).stopped

        return run_all(planned, home, execute, quiet=how.quiet, finished=finished)


def _several_at_once(
    planned: Sequence[PlannedRun], home: Path, how: How, count: int, finished: Callable[[RunResult], None]
) -> list[RunResult]:
    """Do each run in a process of its own, ``count`` at once."""
    runs = {run.spec.id: run for run in planned}
    tickets = _tickets(planned, home, how)
    results: list[RunResult] = []
    if not how.quiet:
        output.note(f"{len(planned)} runs, {count} at once")
    for run in planned:
        _make_room(run, home, how)
    board = make_board(planned, quiet=how.quiet)

    def ended(run: str, end: RunEnd) -> None:
        if end.verdict == "not begun":
            return
        stopped = next((word for word, code in STOPPED.items() if end.verdict == "stopped" and code == end.code), None)
        results.append(result_of(runs[run], home, stopped=stopped, error=end.reason, code=end.code))
        if end.verdict == "done":
            forget(tickets[run])
        finished(results[-1])

    try:
        with Interrupts() as interrupts:
            dispatcher = Dispatcher(
                list(tickets.values()),
                count,
                lambda ticket, hear: LocalKeeper(ticket, "palimpsest.cli", hear),
                tell=board.tell,
                ended=ended,
            )
            dispatcher.run(interrupts)
    finally:
        board.close()
    return results


def _make_room(run: PlannedRun, home: Path, how: How) -> None:
    """Move an earlier run aside, if a fresh one is wanted."""
    aside = move_aside(home, run.spec) if how.fresh else None
    if aside is not None and not how.quiet:
        output.note(f"The earlier run was moved to {aside}.")


def _tickets(planned: Sequence[PlannedRun], home: Path, how: How) -> dict[str, Ticket]:
    """The tickets of the runs by their ids; the first of each model and task makes what the others share."""
    versions = versions_here()
    command = own_command()
    tickets = {}
    for run in planned:
        tickets[run.spec.id] = Ticket(
            home=str(home.absolute()),
            spec=run.spec,
            model=run.model.source or run.spec.model.name,
            task=_absolute_task(run.source or run.spec.task.name),
            means=how.asked,
            course=how.course.model_copy(update={"command": command}),
            also=_sharing(run, planned),
            seconds=_seconds(run, home),
            versions=versions,
        )
    return tickets


def _sharing(run: PlannedRun, planned: Sequence[PlannedRun]) -> tuple[RunSpec, ...]:
    """Specs of the other runs of a model and task, for the first of them; nothing for the others."""

    def group(one: PlannedRun) -> tuple[str, str]:
        return one.spec.model.fingerprint, one.spec.task.content_hash

    alike = [other for other in planned if group(other) == group(run)]
    return tuple(other.spec for other in alike[1:]) if alike[0] is run else ()


def _seconds(run: PlannedRun, home: Path) -> float | None:
    """Predicted time of a run, from past ones; None: unknown."""
    costs = past_costs(home, run.spec)
    return None if costs is None else predict_run(home, run.spec, costs, pristine_is_there=True).seconds


def _absolute_task(name: str) -> str:
    """``TASK:FILE`` with the file's absolute path: processes work in a folder of their own."""
    task, colon, place = name.partition(":")
    return f"{task}:{Path(place).absolute()}" if colon and Path(place).exists() else name


def work_on_ticket(path: Path) -> int:
    """Do the run of a ticket in this process, for a keeper; the exit code.

    Raises:
        ConfigError: It is no ticket.
        UsageError: What it names is not here.
    """
    # Late: torch loads in 2 s, which a ticket that is none need not wait for.
    from palimpsest.harness.fleet.work import work_on

    ticket = read_ticket(path)
    asked = ticket.means
    found = installation(
        data_files(asked.data, None, skip_bad=asked.skip_bad), [Path(place) for place in asked.ability_data]
    )
    if asked.abilities:
        found.abilities.refs(asked.abilities, None)
    text = None if asked.stats_text is None else Path(asked.stats_text)
    return work_on(ticket, found, means.statistics(text), lines=cast("TextIO", streams.results()))
