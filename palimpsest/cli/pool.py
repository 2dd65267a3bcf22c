"""The pool of this machine: how many pieces of work go on at once, processes for them, and the work of each process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO, cast

from palimpsest.cli import means, streams
from palimpsest.cli.depots import variables
from palimpsest.cli.ticket_kinds import AnyTicket
from palimpsest.cli.wiring import installation
from palimpsest.harness.errors import ConfigError, MissingResource, UsageError
from palimpsest.harness.fleet.dispatch import Dispatcher, RunEnd
from palimpsest.harness.fleet.local import LocalKeeper, forget
from palimpsest.harness.fleet.prepared import Prepared
from palimpsest.harness.fleet.ticket import RunTicket, Ticket, read_ticket
from palimpsest.harness.system.interrupts import Interrupts
from palimpsest.tasks.registry import data_files

LEAST_BYTES = 1_000_000_000
"""Memory of a process that edits a pocket model, measured; what larger models need is computed."""


def at_once(text: str | None, *, or_else: str = "") -> int | None:
    """The number of ``--on local:N``; None: it is left to the machine. ``or_else``: what might be given, too.

    Raises:
        UsageError: It is neither ``local`` nor ``local:N``.
    """
    if text in (None, "local"):
        return None
    kind, _, number = str(text).partition(":")
    if kind != "local" or not (number.isascii() and number.isdecimal()) or int(number) < 1:
        also = f", or {or_else}" if or_else else ""
        raise UsageError(f"--on: expected local or local:N, with N at once{also}; got {text!r}.")
    return int(number)


def dispatch(
    tickets: Sequence[Ticket],
    count: int,
    *,
    tell: Callable[[str, Mapping[str, Any]], None],
    ended: Callable[[str, RunEnd], None] = lambda name, end: None,
    follow: Callable[[str], Sequence[Ticket]] = lambda name: (),
) -> dict[str, RunEnd]:
    """Do the work of tickets, each in a process of its own; what became of each, by its name.

    Args:
        tickets: The work.
        count: Processes at once.
        tell: Receives (name, event).
        ended: Receives each that will not be tried again.
        follow: Gives what is to be done next after work that is done; it comes before what waits.
    """
    named = {ticket.name: ticket for ticket in tickets}
    kept_elsewhere = any(isinstance(ticket, RunTicket) and ticket.depot is not None for ticket in tickets)
    prepared = Prepared("palimpsest.cli.ticket_worker", variables() if kept_elsewhere else None)

    def closed(name: str, end: RunEnd) -> None:
        ended(name, end)
        if end.verdict == "done":
            forget(named[name])
            more = follow(name)
            named.update({ticket.name: ticket for ticket in more})
            dispatcher.add(more)

    try:
        with Interrupts() as interrupts:
            dispatcher = Dispatcher(
                list(tickets),
                count,
                lambda ticket, hear: LocalKeeper(ticket, prepared, hear),
                tell=tell,
                ended=closed,
            )
            return dispatcher.run(interrupts)
    finally:
        prepared.close()


def work_on_ticket(path: Path) -> int:
    """Do the work of a ticket in this process, for a keeper; the exit code.

    Raises:
        ConfigError: It is no ticket.
        MissingResource: It is not there.
        UsageError: What it names is not here.
    """
    # Late: torch loads in 2 s, which a ticket that is none need not wait for.
    from palimpsest.cli.ticket_work import do_check, do_prepare, do_run_in_depot, do_trial
    from palimpsest.harness.fleet.work import LineProgress, do_run, work_on

    try:
        ticket = read_ticket(path, AnyTicket)
    except ConfigError as error:
        if isinstance(error.__cause__, FileNotFoundError):  # tried again, with a ticket that is written again
            raise MissingResource(f"Ticket {path} is gone: another process has done its work.") from error
        raise
    asked = ticket.means
    found = installation(
        data_files(asked.data, None, skip_bad=asked.skip_bad), [Path(place) for place in asked.ability_data]
    )
    if asked.abilities:
        found.abilities.refs(asked.abilities, None)
    statistics = means.statistics(None if asked.stats_text is None else Path(asked.stats_text))

    def work(progress: LineProgress, interrupts: Interrupts) -> int:
        if ticket.kind == "check":
            return do_check(ticket, found, progress, interrupts)
        if ticket.kind == "run" and ticket.depot is not None:
            return do_run_in_depot(ticket, found, statistics, progress, interrupts)
        do = {"run": do_run, "prepare": do_prepare}.get(ticket.kind, do_trial)
        return do(ticket, found, statistics, progress, interrupts)

    return work_on(ticket, work, lines=cast("TextIO", streams.results()))
