"""Tickets that are no runs are read back as they were written, known by their content, and waited for."""

from pathlib import Path

from palimpsest.cli.ticket_kinds import AnyTicket, CheckTicket, TrialTicket, prepared_first
from palimpsest.harness.fleet.ticket import read_ticket
from tests.harness.fleet.test_dispatch import tickets
from tests.harness.fleet.test_ticket import ticket


def test_tickets_of_trials_and_checks_are_named_by_their_content(tmp_path: Path) -> None:
    budget = {"ability_limit": None, "edits": 4, "batch_size": 2, "checkpoints": (2, 4), "to_beat": 3.5}
    trials = [
        TrialTicket(
            home=str(tmp_path), editor="ft-l", model="m", task="t", config={"steps": n}, abilities=("pocket",), **budget
        )
        for n in (1, 2)
    ]
    check = CheckTicket(home=str(tmp_path), editor="revive(memit)", overrides={"layer": 1}, only=("C01",))
    every = [*trials, check, ticket(tmp_path)]
    assert [read_ticket(one.write(), AnyTicket) for one in every] == every
    assert len({one.name for one in every}) == 4 and {one.group for one in trials} == {"m"}
    assert trials[0].model_copy(update={"seconds": 5.0}).name == trials[0].name


def test_runs_of_one_model_wait_for_what_they_share(tmp_path: Path) -> None:
    alone, *several = tickets(tmp_path, [1.0, 2.0, 3.0], models="abb")
    several[1] = several[1].model_copy(update={"statistics": ((100, (0,)),)})
    prepare = f"prepare-{several[1].name}"
    found = prepared_first([several[0], alone, several[1]])
    assert {one.name: one.after for one in found} == {
        alone.name: (), prepare: (), several[0].name: (prepare,), several[1].name: (prepare,)
    }  # fmt: skip
    made = found[0]
    assert (made.kind, made.name, made.seconds, made.statistics) == ("prepare", prepare, None, ((100, (0,)),))
    assert [read_ticket(one.write(), AnyTicket) for one in found] == found
