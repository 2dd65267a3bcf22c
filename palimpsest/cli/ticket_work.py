"""The work of a ticket that is no plain run: of a depot, what runs share, a trial of a tuning, checks of an editor."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from palimpsest.cli.depots import opened
from palimpsest.cli.tuning.abilities import AbilityChoice
from palimpsest.cli.tuning.bench import Bench, complete_config
from palimpsest.cli.tuning.protocol import Horizon
from palimpsest.harness.authoring.checks import check
from palimpsest.harness.authoring.report import Outcome
from palimpsest.harness.errors import PalimpsestError
from palimpsest.harness.fleet.ticket import SHARED
from palimpsest.harness.fleet.work import bench_of, do_run
from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.model.needs import statistics_of
from palimpsest.harness.runs.loaded_model import LoadedModel, load

if TYPE_CHECKING:
    from palimpsest.cli.ticket_kinds import CheckTicket, PrepareTicket, TrialTicket
    from palimpsest.harness.fleet.ticket import RunTicket
    from palimpsest.harness.fleet.work import LineProgress
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
    executor, planned = bench_of(ticket, installed, statistics, progress, interrupts)
    executor.prepare(planned, dict(ticket.statistics))
    return 0


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

    def work(told: Progress) -> int:
        return do_run(ticket, installed, statistics, told, interrupts)

    store, needed = opened(str(ticket.depot)), bool(ticket.statistics)
    return work_in_depot(store, Path(ticket.home), ticket.spec, progress, interrupts, work, statistics=needed)


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
