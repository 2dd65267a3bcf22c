"""Runs carried out: one after another in this process, or several at once in processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.cli import means, output
from palimpsest.cli.board import make_board
from palimpsest.cli.depots import opened
from palimpsest.cli.many_runs import STOPPED, RunResult, own_command, result_of, run_all
from palimpsest.cli.page_builder import PageBuilder
from palimpsest.cli.places import Place
from palimpsest.cli.pool import LEAST_BYTES, at_once, dispatch
from palimpsest.cli.progress import make_progress
from palimpsest.cli.ray_pool import dispatch_on_ray, noise_into
from palimpsest.cli.run_folders import move_aside
from palimpsest.cli.ticket_kinds import PREPARE, prepared_first
from palimpsest.harness.fleet.dispatch import RunEnd, longest_first
from palimpsest.harness.fleet.local import slots
from palimpsest.harness.fleet.ticket import FOLDER, Course, Means, RunTicket, versions_here
from palimpsest.harness.forecast.history import past_costs
from palimpsest.harness.forecast.prediction import predict_run
from palimpsest.harness.model.needs import needs, shape_of, statistics_of
from palimpsest.harness.model.placement import Placement
from palimpsest.harness.runs.reading import run_state
from palimpsest.harness.specs.model_entry import ModelEntry
from palimpsest.harness.specs.planning import PlannedRun
from palimpsest.harness.specs.run_spec import ModelRef
from palimpsest.harness.system.interrupts import Interrupts

if TYPE_CHECKING:
    from palimpsest.cli.depot_results import DepotResults

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
    place: Place = Place()
    depot: str | None = None
    """Address of the depot that keeps the runs; None: the home does."""
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
        UsageError: ``--depot`` is no address.
        MissingResource: The depot cannot be used.
    """
    on_ray = how.place.address is not None
    wanted = None if how.place.elsewhere else at_once(how.place.on)
    if how.depot is not None:
        return _in_depot(planned, home, how, wanted)
    page = PageBuilder(home) if how.page else None

    def finished(result: RunResult) -> None:
        if page is not None:
            page.again(stopped=result.status in STOPPED)

    try:
        left = [run for run in planned if _is_left(run, home, how)]
        count = _slots(left, how, wanted)
        if count > 1 or (on_ray and left):
            for_pool = {run.spec.id for run in left}
            done = [run for run in planned if run.spec.id not in for_pool]
            results = _one_after_another(done, home, how, finished) if done else []
            if not any(result.status in STOPPED for result in results):
                results += _several_at_once(left, home, how, count, finished, page.first if page else lambda: None)
            place = {run.spec.id: number for number, run in enumerate(planned)}
            return sorted(results, key=lambda result: place[result.run])
        return _one_after_another(planned, home, how, finished)
    finally:
        if page is not None:
            page.close()


_WORDS = {code: word for word, code in STOPPED.items()}
_LEFT = ("missing", "partial", "failed")


def _is_left(run: PlannedRun, home: Path, how: How) -> bool:
    return how.fresh or run_state(home, run.spec).status in _LEFT


def result_at(home: Path, how: How) -> Callable[..., RunResult]:
    """`result_of` from the home, or from the depot that keeps the runs; one that has ended there is mirrored."""
    return partial(result_of, home=home) if how.depot is None else _depot_results(home, how).result


def _depot_results(home: Path, how: How) -> DepotResults:
    # Late: nobody who gives no --depot needs any of it.
    from palimpsest.cli.depot_results import DepotResults

    return DepotResults(opened(str(how.depot)), home)


def tickets_left(planned: Sequence[PlannedRun], home: Path, how: How) -> list[tuple[PlannedRun, RunTicket]]:
    """Runs that are not over, the longest first, each with its ticket: for processes that somebody else starts."""
    over = None if how.depot is None else _depot_results(home, how)
    left = {
        run.spec.id: run for run in planned if (_is_left(run, home, how) if over is None else not over.is_over(run))
    }
    tickets = _tickets([*left.values()], home, how)
    return [(left[one.name], tickets[one.name]) for one in longest_first([*tickets.values()])]


def _in_depot(planned: Sequence[PlannedRun], home: Path, how: How, wanted: int | None) -> list[RunResult]:
    """Do runs that a depot keeps, each in a process of its own; the home then has mirrors of those that have ended."""
    results = _depot_results(home, how)
    page = PageBuilder(home) if how.page else None
    told = {run.spec.id: results.result(run) for run in planned if results.is_over(run)}
    left = [run for run in planned if run.spec.id not in told]

    def finished(result: RunResult) -> None:
        told[result.run] = result
        if page is not None:
            page.again(stopped=result.status in STOPPED)

    try:
        if left:
            count = _slots(left, how, wanted)
            _several_at_once(left, home, how, count, finished, page.first if page else lambda: None, results.result)
        return [told[run.spec.id] for run in planned if run.spec.id in told]
    finally:
        if page is not None:
            page.close()


def _slots(left: Sequence[PlannedRun], how: How, wanted: int | None) -> int:
    """Runs at once; 1 means: in this process."""
    placement = how.given.placement
    if len(left) < 2 or (how.place.on is None and (placement.device != "cpu" or placement.device_map is not None)):
        return 1
    memory = max(memory_for(run, how) for run in left)
    return slots(wanted, len(left), placement.threads or 1, memory)


def memory_for(run: PlannedRun, how: How) -> int:
    """Bytes of memory that the process of a run is given: as ``--memory`` says, else `memory_of`."""
    given = how.place.memory
    return memory_of(run.model, run.spec.editor.config, how.given.placement) if given is None else given << 30


def memory_of(model: ModelEntry, config: Mapping[str, Any], placement: Placement) -> int:
    """Bytes of memory that a process needs in which an editor of this configuration edits the model."""
    shape = shape_of(model)
    if shape is None:
        return LEAST_BYTES
    return max(LEAST_BYTES, round(_MARGIN * needs(model, shape, config, placement).host_memory))


def _one_after_another(
    planned: Sequence[PlannedRun], home: Path, how: How, finished: Callable[[RunResult], None]
) -> list[RunResult]:
    """Do the runs in this process; they share the loaded model."""
    # Late: torch loads in 2 s, which --help and a wrong word need not wait for.
    from palimpsest.harness.runs.executor import Executor
    from palimpsest.harness.runs.run import RunSettings

    course = how.course
    settings = RunSettings(
        keep_checkpoints=course.keep,
        limit=course.limit,
        diagnostics=course.diagnostics,
        any_machine=course.any_machine,
    )
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
            make_room(run, home, how)
            return executor.execute(run).stopped

        return run_all(planned, home, execute, quiet=how.quiet, finished=finished)


def _several_at_once(
    planned: Sequence[PlannedRun],
    home: Path,
    how: How,
    count: int,
    finished: Callable[[RunResult], None],
    first_scores: Callable[[], None],
    result: Callable[..., RunResult] | None = None,
) -> list[RunResult]:
    """Do each run in a process of its own, on a Ray cluster or ``count`` at once here.

    ``result`` takes the place of `result_of` in the home.
    """
    address = how.place.address
    result = result or partial(result_of, home=home)
    runs = {run.spec.id: run for run in planned}
    tickets = _tickets(planned, home, how)
    results: list[RunResult] = []
    if not how.quiet:
        output.note(f"{len(planned)} runs, {f'{count} at once' if address is None else 'on the Ray cluster'}")
    for run in planned:
        make_room(run, home, how)

    def ended(run: str, end: RunEnd) -> None:
        if run not in runs and end.verdict in ("failed", "given up"):
            output.note(
                f"What runs of a model share could not be made before them ({end.reason}); each tries for itself"
            )
        if run not in runs or end.verdict == "not begun":
            return
        stopped = _WORDS[end.code] if end.verdict == "stopped" else None
        results.append(result(runs[run], stopped=stopped, error=end.reason, code=end.code))
        finished(results[-1])

    def tell(name: str, event: Mapping[str, Any]) -> None:
        run = name.removeprefix(PREPARE)
        if run == name or event["event"] in ("here", "phase", "warning"):
            board.tell(run, event)
        if event["event"] == "checkpoint" and event["edits"]:
            first_scores()

    with noise_into(home / FOLDER / "ray.log") if address is not None else nullcontext():
        board = make_board(planned, quiet=how.quiet)
        try:
            if address is None:
                ends = dispatch(list(tickets.values()), count, tell=tell, ended=ended)
            else:
                first = prepared_first([*tickets.values()])
                ends = dispatch_on_ray(first, address, tell=tell, ended=ended, fresh=how.fresh)
        finally:
            board.close()
    left = [name for name, end in ends.items() if end.verdict == "not begun" and name in runs]
    if left and not any(one.status in STOPPED for one in results):  # the signal came between two runs, or before all
        results.append(result(runs[left[0]], stopped=_WORDS[ends[left[0]].code]))
    return results


def make_room(run: PlannedRun, home: Path, how: How) -> None:
    """Move an earlier run aside, if a fresh one is wanted."""
    aside = move_aside(home, run.spec.id) if how.fresh else None
    if aside is not None and not how.quiet:
        output.note(f"The earlier run was moved to {aside}.")


def _tickets(planned: Sequence[PlannedRun], home: Path, how: How) -> dict[str, RunTicket]:
    """The tickets of the runs by their ids."""
    versions = versions_here()
    command = own_command()
    tickets = {}
    configs: dict[ModelRef, list[Mapping[str, Any]]] = {}
    for run in planned:
        configs.setdefault(run.spec.model, []).append(run.spec.editor.config)
    of_model = {model: statistics_of(those) for model, those in configs.items()}
    for run in planned:
        shared = of_model[run.spec.model] if statistics_of([run.spec.editor.config]) else {}
        tickets[run.spec.id] = RunTicket(
            home=str(home.absolute()),
            depot=how.depot,
            spec=run.spec,
            model=run.model.source or run.spec.model.name,
            task=means.absolute_task(run.source or run.spec.task.name),
            means=how.asked,
            course=how.course.model_copy(update={"command": command}),
            statistics=tuple((tokens, tuple(sorted(layers))) for tokens, layers in sorted(shared.items())),
            seconds=_seconds(run, home, how),
            memory=memory_for(run, how),
            gpus=how.place.gpus,
            versions=versions,
        )
    return tickets


def _seconds(run: PlannedRun, home: Path, how: How) -> float | None:
    """Predicted time of a run, from past ones or, elsewhere, from what was measured on a node; None: unknown."""
    costs = past_costs(home, run.spec)
    if costs is None and how.place.elsewhere:
        # Late: torch loads in 2 s, which runs on this machine need not wait for here.
        from palimpsest.harness.forecast.calibration import calibrated

        place, library = how.given.placement, how.given.installed.abilities
        costs = calibrated(run, home, placement=place, load=None, library=library, anywhere=True)
    return None if costs is None else predict_run(home, run.spec, costs, pristine_is_there=True).seconds
