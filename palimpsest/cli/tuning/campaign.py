"""The tunings of several editors as one piece of work: hosts before their filters, one trial of each at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from palimpsest.cli import output
from palimpsest.cli.pool import dispatch
from palimpsest.cli.ray_pool import dispatch_on_ray, noise_into
from palimpsest.cli.ticket_kinds import TrialTicket
from palimpsest.cli.tuning.record import Tuning
from palimpsest.cli.tuning.trials import Trial
from palimpsest.harness.errors import RunFailed
from palimpsest.harness.fleet.ticket import FOLDER
from palimpsest.harness.specs.composition import parse, spell

if TYPE_CHECKING:
    from palimpsest.cli.tuning.bench import Bench
    from palimpsest.harness.fleet.ticket import Ticket

Open = Callable[[str, "Mapping[str, Any] | None"], Tuning]
"""Opens the tuning of an editor; a filter is given its host's complete configuration, if that was tuned just now."""


INTERRUPTED = 130
"""Exit code after Ctrl-C."""


class Campaign:
    """The tunings of several editors."""

    def __init__(self, editors: Sequence[str], begin: Open, finish: Callable[[Tuning], None]) -> None:
        """Set up.

        Args:
            editors: Complete names, in the order in which they begin; a filter waits for its host, if that is one of
                them.
            begin: Opens a tuning.
            finish: Called with each that has no trial left.
        """
        self._editors = tuple(editors)
        self._waiting = list(editors)
        self._begin = begin
        self._finish = finish
        self.done: dict[str, Tuning] = {}

    @property
    def left(self) -> list[str]:
        """Editors whose tuning has not ended."""
        return [editor for editor in self._editors if editor not in self.done]

    def opened(self) -> list[Tuning]:
        """The tunings that can begin now and were not begun before, each with a trial to do."""
        found: list[Tuning] = []
        while ready := [editor for editor in self._waiting if not self._waits(editor)]:
            self._waiting = [editor for editor in self._waiting if editor not in ready]
            for editor in ready:
                host = self.done.get(_host(editor))
                tuning = self._begin(editor, None if host is None else host.complete())
                if tuning.next is None:
                    self._end(tuning)
                else:
                    found.append(tuning)
        return found

    def after(self, tuning: Tuning) -> list[Tuning]:
        """Tunings that go on after a trial of one: itself, or what waited for its end."""
        if tuning.next is not None:
            return [tuning]
        self._end(tuning)
        return self.opened()

    def _end(self, tuning: Tuning) -> None:
        self._finish(tuning)
        self.done[tuning.editor] = tuning

    def _waits(self, editor: str) -> bool:
        """True for a filter whose host is tuned before."""
        return _host(editor) in self._editors and _host(editor) not in self.done


def _host(editor: str) -> str:
    """The host of a filter; empty for another editor."""
    return spell(parse(editor)[1:]) if len(parse(editor)) > 1 else ""


def one_after_another(campaign: Campaign, first: Sequence[Tuning], make_bench: Callable[[], Bench]) -> None:
    """Do all trials that are left in this process; they share the loaded model."""
    going = list(first)
    bench = make_bench() if going else None
    while going and bench is not None:
        tuning = going.pop(0)
        assert tuning.next is not None
        tuning.add(bench.trial(tuning.editor, tuning.next.config, tuning.host, tuning.next.to_beat))
        tell_of(tuning, tuning.trials[-1])
        going = [*campaign.after(tuning), *going]


def side_by_side(
    campaign: Campaign,
    first: Sequence[Tuning],
    ticket_of: Callable[[Tuning], TrialTicket],
    count: int,
    address: str | None = None,
) -> None:
    """Do each trial that is left in a process of its own, ``count`` at once here, or on the Ray cluster at an address.

    Raises:
        RunFailed: A trial could not be done; the others are recorded.
        typer.Exit: A signal came.
    """
    asked: dict[str, tuple[Tuning, TrialTicket]] = {}

    def tickets(tunings: Sequence[Tuning]) -> list[Ticket]:
        found = {ticket.name: (tuning, ticket) for tuning in tunings for ticket in [ticket_of(tuning)]}
        asked.update(found)
        return [ticket for _, ticket in found.values()]

    def tell(name: str, event: Mapping[str, Any]) -> None:
        tuning, ticket = asked[name]
        if event["event"] == "trial":
            tuning.add(Trial.read(event["trial"]))
            tell_of(tuning, tuning.trials[-1])
        if event["event"] == "warning":
            output.note(f"{tuning.editor}, trial {ticket.config}: {event['message']}")

    def follow(name: str) -> list[Ticket]:
        return tickets(campaign.after(asked[name][0]))

    where = f"{count} trials at once" if address is None else "trials on the Ray cluster"
    output.note(f"{len(campaign.left)} editors, {where}")
    begin = tickets(first)
    if address is None:
        ends = dispatch(begin, count, tell=tell, follow=follow)
    else:
        with noise_into(Path(begin[0].home) / FOLDER / "ray.log"):
            ends = dispatch_on_ray(begin, address, tell=tell, follow=follow)
    bad = {name: end for name, end in ends.items() if end.verdict != "done"}
    stopped = next((end.code for end in bad.values() if end.verdict in ("stopped", "not begun")), None)
    if stopped is None and not bad and campaign.left:
        stopped = INTERRUPTED  # the signal came just when a trial ended
    if stopped is not None:
        output.note("All trials that ended are recorded; the same command does those that are left.")
        raise typer.Exit(stopped)
    if bad:
        reasons = [f"{asked[name][0].editor}, trial {asked[name][1].config}: {end.reason}" for name, end in bad.items()]
        raise RunFailed("\n".join([*reasons, "The same command tries again what is left."]))


def tell_of(tuning: Tuning, trial: Trial) -> None:
    """Say what a trial reached."""
    if trial.stopped_at is not None:
        reached = f"stopped after {trial.stopped_at} edits, at most {trial.at_most:.1f} effective edits"
    else:
        reached = f"{trial.effective_edits:.1f} effective edits"
    failure = f" ({trial.failure})" if trial.failure else ""
    number = tuning.trials.index(trial) + 1
    output.note(f"{tuning.editor}, trial {number}: {trial.config} → {reached}, {trial.cpu_seconds:.0f} s{failure}")
