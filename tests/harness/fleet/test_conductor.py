"""The conductor without a cluster: what it remembers, whom it refuses, and where it sends an attempt."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from palimpsest.cli.depots import VARIABLES
from palimpsest.cli.ray_pool import KINDS, WORKER
from palimpsest.harness.fleet.dispatch import Dispatcher, RunEnd
from palimpsest.harness.fleet.ticket import RunTicket
from tests.labs.ray_cluster import played

if TYPE_CHECKING:  # Ray loads in seconds, which tests of other things need not wait for
    from palimpsest.harness.fleet.conductor import Conductor

NODES = ("a" * 56, "b" * 56)


class Left(Exception):
    """The actor has ended itself."""


class PlayedRay:
    """Two nodes with a CPU each; tasks that end when a test says so."""

    def __init__(self) -> None:
        self.reborn = False
        self.options_asked: list[dict[str, Any]] = []
        self.cancelled: list[Any] = []
        self.there = [
            {"NodeID": one, "Alive": True, "Resources": {"CPU": 1.0, "memory": float(4 << 30)}} for one in NODES
        ]
        self.actor = SimpleNamespace(exit_actor=self._leave)

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(was_current_actor_reconstructed=self.reborn)

    def nodes(self) -> list[dict[str, Any]]:
        return self.there

    def remote(self, function: Any) -> Any:
        return self

    def options(self, **options: Any) -> Any:
        self.options_asked.append(options)
        return SimpleNamespace(remote=lambda *arguments: SimpleNamespace(future=Future))

    def cancel(self, ref: Any) -> None:
        self.cancelled.append(ref)

    def _leave(self) -> None:
        raise Left


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> PlayedRay:
    from palimpsest.harness.fleet import conductor

    one = PlayedRay()
    monkeypatch.setattr(conductor, "ray", one)
    idle = SimpleNamespace(start=lambda: None)
    monkeypatch.setattr(conductor, "threading", SimpleNamespace(RLock=threading.RLock, Thread=lambda **how: idle))
    return one


@pytest.fixture
def begin(ray: PlayedRay, tmp_path: Path) -> Callable[..., Conductor]:
    """Begins the conductor of a home, or its next life."""

    from palimpsest.harness.fleet.conductor import Conductor

    def one(*, reborn: bool = False) -> Conductor:
        ray.reborn = reborn
        return Conductor("conductor-1", str(tmp_path), WORKER, KINDS, {}, VARIABLES)

    return one


def texts(*tickets: RunTicket) -> list[str]:
    return [ticket.model_dump_json() for ticket in tickets]


def test_a_node_that_no_attempt_has_reached_is_not_avoided(
    ray: PlayedRay, begin: Callable[..., Conductor], tmp_path: Path
) -> None:
    """Ray refuses a selector without a value, and the conductor and all its runs ended with that."""
    (ticket,) = played(tmp_path, "good 1 0")
    conductor = begin()
    conductor.add(texts(ticket))
    conductor._start(ticket, lambda event: None).code = 4
    conductor._start(ticket, lambda event: None)
    assert "label_selector" not in ray.options_asked[-1]


def test_an_attempt_whose_last_other_node_is_gone_does_not_wait_for_ever(
    ray: PlayedRay, begin: Callable[..., Conductor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ticket,) = played(tmp_path, "good 1 0")
    conductor = begin()
    conductor.add(texts(ticket))
    conductor._dispatcher = SimpleNamespace(slots=1)  # type: ignore[assignment]
    first = conductor._start(ticket, lambda event: None)
    first.node, first.code = NODES[0], 4
    second = conductor._start(ticket, lambda event: None)
    assert ray.options_asked[-1]["label_selector"] == {"ray.io/node-id": f"!in({NODES[0]})"}
    looks: list[float] = []

    def look(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) > 1:
            raise Left

    monkeypatch.setattr(time, "sleep", look)
    with pytest.raises(Left):
        conductor._measure()
    assert not ray.cancelled, "the other node has room"
    ray.there[1]["Alive"] = False
    looks.clear()
    with pytest.raises(Left):
        conductor._measure()
    assert ray.cancelled == [second.ref]
    conductor._start(ticket, lambda event: None)
    assert "label_selector" not in ray.options_asked[-1]


def test_a_full_disk_under_the_diary_ends_no_run(begin: Callable[..., Conductor], tmp_path: Path) -> None:
    (ticket,) = played(tmp_path, "good 1 0")
    conductor = begin()
    conductor.add(texts(ticket))
    conductor._diary = tmp_path  # no file: it cannot be written
    conductor._tell(ticket.name, {"event": "attempt", "furthest": 0, "in_vain": 1})
    conductor._ended(ticket.name, RunEnd("failed", 1))
    assert conductor.state("", 0, None)["ends"][ticket.name]["verdict"] == "failed"


def test_tickets_that_cannot_be_written_are_not_taken(begin: Callable[..., Conductor], tmp_path: Path) -> None:
    (ticket,) = played(tmp_path, "good 1 0")
    conductor = begin()
    (tmp_path / "fleet").touch()
    with pytest.raises(OSError, match="fleet"):
        conductor.add(texts(ticket))
    assert not conductor.going_on()


def test_a_line_that_death_cut_short_costs_only_itself(begin: Callable[..., Conductor], tmp_path: Path) -> None:
    first, second = played(tmp_path, "good 1 0", "good 2 0")
    begin().add(texts(first))
    with (tmp_path / "fleet" / "conductor-1.jsonl").open("a") as diary:
        diary.write("\n" + json.dumps({"name": first.name, "end": {"verdict": "done"}})[:30])
    begin(reborn=True).add(texts(second))
    assert set(begin(reborn=True).going_on()) == {first.name, second.name}


def test_a_conductor_that_dies_before_its_first_ticket_begins_again(begin: Callable[..., Conductor]) -> None:
    assert begin(reborn=True).going_on() == {}


def test_what_has_ended_unseen_begins_again_only_afresh(begin: Callable[..., Conductor], tmp_path: Path) -> None:
    """The command has moved the run's folder aside, so a result of earlier is none."""
    (ticket,) = played(tmp_path, "good 1 0")
    conductor = begin()
    conductor.add(texts(ticket))
    conductor._ended(ticket.name, RunEnd("done", 0))
    conductor.add(texts(ticket))
    assert not conductor.going_on()
    conductor.add(texts(ticket), True)
    assert conductor.going_on() == {ticket.name: "pending"}


def test_the_conductor_goes_only_when_nothing_is_left(begin: Callable[..., Conductor], tmp_path: Path) -> None:
    """Another command may have handed over since the last look."""
    (ticket,) = played(tmp_path, "good 1 0")
    conductor = begin()
    conductor.add(texts(ticket))
    conductor.leave()
    conductor._ended(ticket.name, RunEnd("stopped", 143))
    with pytest.raises(Left):
        conductor.leave()


def test_a_conductor_that_has_failed_takes_nothing_more(begin: Callable[..., Conductor], tmp_path: Path) -> None:
    conductor = begin()
    conductor._fault = "ValueError: no"
    with pytest.raises(Left):
        conductor.add(texts(*played(tmp_path, "good 1 0")))


@pytest.mark.parametrize("given", [True, False], ids=["something is left", "nothing is left"])
def test_a_stop_reaches_what_is_there_and_nothing_that_comes_later(
    begin: Callable[..., Conductor], tmp_path: Path, given: bool
) -> None:
    conductor = begin()
    if given:
        conductor.add(texts(*played(tmp_path, "good 1 0")))
    conductor.state("", 0, "terminated")
    assert conductor._interrupts.requested == ("terminated" if given else None)


def test_work_that_is_given_again_takes_the_place_of_what_has_ended(tmp_path: Path) -> None:
    (ticket,) = played(tmp_path, "good 1 0")
    dispatcher = Dispatcher([ticket], 1, lambda ticket, hear: None, tell=lambda name, event: None)  # type: ignore[arg-type,return-value]
    dispatcher._jobs[ticket.name].end = RunEnd("failed", 1)
    dispatcher.add([ticket])
    assert dispatcher._jobs[ticket.name].end is None
