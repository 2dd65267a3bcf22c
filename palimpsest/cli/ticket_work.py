"""The work of a ticket that is no plain run: of a depot, what runs share, a trial of a tuning, checks of an editor."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from palimpsest.cli.depots import opened, scratch
from palimpsest.cli.tuning.abilities import AbilityChoice
from palimpsest.cli.tuning.bench import Bench, complete_config
from palimpsest.cli.tuning.protocol import Horizon
from palimpsest.harness.authoring.checks import check
from palimpsest.harness.authoring.report import Outcome
from palimpsest.harness.errors import PalimpsestError
from palimpsest.harness.fleet.ticket import SHARED
from palimpsest.harness.fleet.work import bench_of, do_run
from palimpsest.harness.forecast.calibration import calibrated
from palimpsest.harness.forecast.history import past_costs
from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.model.needs import statistics_of
from palimpsest.harness.model.placement import Placement
from palimpsest.harness.runs.loaded_model import LoadedModel, load
from palimpsest.harness.specs.planning import PlannedRun

if TYPE_CHECKING:
    from palimpsest.cli.ticket_kinds import CheckTicket, PrepareTicket, TrialTicket
    from palimpsest.harness.fleet.ticket import RunTicket
    from palimpsest.harness.fleet.work import LineProgress
    from palimpsest.harness.runs.executor import Executor
    from palimpsest.harness.runs.installation import Installation
    from palimpsest.harness.runs.journal import Progress
    from palimpsest.harness.statistics.texts import StatisticsSource
    from palimpsest.harness.system.interrupts import Interrupts


def do_trial(
    ticket: TrialTicket,
    installed: Installation,
    statistics: StatisticsSource | None,
    progress: LineProgress,
    interrupts: Interrupts,
) -> int:
    """Do the ticket's trial and tell it as the event ``trial``; the exit code.

    Args:
        ticket: The trial.
        installed: Finds the task, the abilities and texts.
        statistics: Key statistics in place of the model's own.
        progress: Receives the trial.
        interrupts: Signals to heed; a trial is begun again, so one ends it at once.

    Raises:
        PalimpsestError: The trial could not be begun.
    """
    with interrupts.at_once():
        task = installed.tasks.load(ticket.task)
        source = statistics.source if statistics else None
        loaded = load(resolve(ticket.model), Path(ticket.home), statistics=source, texts=installed.texts)
        abilities = AbilityChoice(installed.abilities, ticket.abilities, ticket.ability_limit)
        bench = Bench(loaded, task, abilities, Horizon(ticket.edits, ticket.batch_size, ticket.checkpoints))
        with suppress(PalimpsestError):  # the trial tries for itself, and says what is lacking
            config = complete_config(ticket.editor, loaded.model.name, ticket.config, ticket.host)
            _make_statistics(loaded, config)
            progress.tell({"event": SHARED})
        trial = bench.trial(ticket.editor, ticket.config, ticket.host, ticket.to_beat)
        progress.tell({"event": "trial", "trial": asdict(trial)})
    return 0


def do_prepare(
    ticket: PrepareTicket,
    installed: Installation,
    statistics: StatisticsSource | None,
    progress: LineProgress,
    interrupts: Interrupts,
) -> int:
    """Make what the runs of the ticket's model share; arguments and errors are those of `do_run`."""
    if ticket.depot is not None:
        # Late: other tickets need none of it.
        from palimpsest.harness.depot.caches import Caches

        home = scratch(Path(ticket.home))
        caches = Caches(opened(ticket.depot), home / "models" / ticket.spec.model.fingerprint)
        with interrupts.at_once():
            caches.fetch(lambda name: True)
        inner = ticket.model_copy(update={"home": str(home), "depot": None})
        code = do_prepare(inner, installed, statistics, progress, interrupts)
        caches.keep()
        return code
    executor, planned = bench_of(ticket, installed, statistics, progress, interrupts)
    executor.prepare(planned, dict(ticket.statistics))
    _calibrate(ticket, executor, planned, installed, interrupts)
    return 0


def _calibrate(
    ticket: PrepareTicket, executor: Executor, planned: PlannedRun, installed: Installation, interrupts: Interrupts
) -> None:
    """Measure what runs cost on this machine, where earlier runs do not tell; the runs are not begun."""
    means = ticket.means
    placement = Placement(means.device, means.device_map, means.offload, means.engine, means.threads)
    for spec in (ticket.spec, *ticket.also):
        with suppress(Exception), interrupts.at_once():  # what is wrong with an editor, its run will say
            if past_costs(executor.home, spec) is None:
                calibrated(
                    PlannedRun(spec, planned.model, planned.task),
                    executor.home,
                    placement=placement,
                    load=lambda: executor.loaded(planned),
                    library=installed.abilities,
                )


def do_run_in_depot(
    ticket: RunTicket,
    installed: Installation,
    statistics: StatisticsSource | None,
    progress: LineProgress,
    interrupts: Interrupts,
) -> int:
    """`palimpsest.harness.fleet.work.do_run` for a run that a depot keeps."""
    # Late: other tickets need none of it.
    from palimpsest.cli.run_in_depot import work_in_depot

    home = scratch(Path(ticket.home))
    inner = ticket.model_copy(update={"home": str(home)})

    def work(told: Progress) -> int:
        return do_run(inner, installed, statistics, told, interrupts)

    store, needed = opened(str(ticket.depot)), bool(ticket.statistics)
    return work_in_depot(store, home, ticket.spec, progress, interrupts, work, statistics=needed)


def _make_statistics(loaded: LoadedModel, config: dict[str, object]) -> None:
    for tokens, layers in statistics_of([config]).items():
        loaded.resources.second_moments(sorted(layers), tokens)


def do_check(ticket: CheckTicket, installed: Installation, progress: LineProgress, interrupts: Interrupts) -> int:
    """Do the ticket's checks and tell each as the event ``outcome``; the exit code.

    Args:
        ticket: The editor, and which checks.
        installed: Finds the task and the texts of key statistics.
        progress: Receives the outcomes, and at last the event ``checked``.
        interrupts: Signals to heed; one ends the checks at once.

    Raises:
        PalimpsestError: The checks could not be begun.
    """

    def tell(outcome: Outcome) -> None:
        progress.tell({"event": "outcome", "outcome": asdict(outcome)})

    with interrupts.at_once():
        home = Path(ticket.home)
        report = check(ticket.editor, ticket.overrides, home, installed, only=ticket.only, tell=tell)
        about = {"editor": report.editor, "distribution": report.distribution, "version": report.version}
        progress.tell({"event": "checked", **about, "models": list(report.models)})
    return 0
