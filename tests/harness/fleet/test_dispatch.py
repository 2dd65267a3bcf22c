"""The dispatcher, with processes that are played: what starts when, what follows from ends, and how all are stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from palimpsest.harness.fleet.dispatch import Dispatcher, Ended, Hear, RunEnd
from palimpsest.harness.fleet.ticket import RunTicket, Ticket
from palimpsest.harness.fleet.verdict import Attempts
from palimpsest.harness.system.interrupts import Interrupts
from tests.harness.fleet.test_ticket import ticket
from tests.labs.run_lab import spec

HOLD = {"event": "hold"}
"""A played process waits here until it is let go, or asked to stop."""
Play = Sequence["Mapping[str, Any] | Ended"]


class Stage:
    """Plays processes, each in a thread: every start of a run gives the next of its plays."""

    def __init__(self, plays: Mapping[str, Sequence[Play]], interrupts: Interrupts | None = None) -> None:
        self.plays = {run: list(several) for run, several in plays.items()}
        self.interrupts = interrupts or Interrupts()
        self.started: list[str] = []
        self.told: list[tuple[str, Mapping[str, Any]]] = []
        self.ended: dict[str, RunEnd] = {}
        self.stopped: list[str] = []
        self.now = 0.0
        self.going = 0
        self.most = 0
        self.let_go = threading.Event()
        self.on_start: Callable[[], None] = lambda: None
        self.on_end: Callable[[], None] = lambda: None
        self.following: dict[str, Sequence[Ticket]] = {}

    def start(self, ticket: Ticket, hear: Hear) -> Any:
        run = ticket.name
        play = self.plays[run].pop(0)
        stop = threading.Event()
        self.started.append(run)
        self.going += 1
        self.most = max(self.most, self.going)
        self.on_start()
        stage = self

        def work() -> None:
            for event in play:
                while event is HOLD and not stage.let_go.is_set() and not stop.is_set():
                    stage.let_go.wait(0.01)
                if stop.is_set() or isinstance(event, Ended):
                    stage.going -= 1
                    hear(Ended(143) if stop.is_set() else event)  # type: ignore[arg-type]
                    return
                hear(event)

        class Keeper:
            def stop(self) -> None:
                stage.stopped.append(run)
                stop.set()

            def kill(self) -> None:
                stop.set()

            def last_words(self) -> str:
                return "last words"

        threading.Thread(target=work).start()
        return Keeper()

    def clock(self) -> float:
        self.now += 5.0
        return self.now

    def tell(self, run: str, event: Mapping[str, Any]) -> None:
        self.told.append((run, event))

    def has_ended(self, run: str, end: RunEnd) -> None:
        self.ended[run] = end
        self.on_end()
        if end.verdict == "done":
            self.add(self.following.pop(run, ()))

    def play(
        self, tickets: Sequence[Ticket], slots: int, attempts: Mapping[str, Attempts] = MappingProxyType({})
    ) -> dict[str, RunEnd]:
        dispatcher = Dispatcher(
            tickets,
            slots,
            self.start,
            tell=self.tell,
            ended=self.has_ended,
            attempts=attempts,
            clock=self.clock,
        )
        self.add = dispatcher.add
        result = dispatcher.run(self.interrupts)
        assert result == self.ended and not self.going
        return result


def tickets(home: Path, seconds: Sequence[float | None], *, models: str = "abcdefgh") -> list[RunTicket]:
    """Tickets of these lengths, each of another model."""
    found = []
    for place, long in enumerate(seconds):
        one = spec({"rate": float(place)})
        model = one.model.model_copy(update={"fingerprint": models[place] * 64})
        found.append(ticket(home, spec=one.model_copy(update={"model": model}), seconds=long))
    return found


def ids(found: Sequence[Ticket]) -> list[str]:
    return [one.name for one in found]


def test_the_longest_go_first_and_those_of_unknown_length_before_them(tmp_path: Path) -> None:
    found = tickets(tmp_path, [5.0, None, 50.0, 20.0])
    stage = Stage({run: [[Ended(0)]] for run in ids(found)})
    ends = stage.play(found, 1)
    assert stage.started == [ids(found)[place] for place in (1, 2, 3, 0)]
    assert {end.verdict for end in ends.values()} == {"done"} and stage.most == 1


def test_never_more_at_once_than_there_are_slots(tmp_path: Path) -> None:
    found = tickets(tmp_path, [1.0] * 6)
    stage = Stage({run: [[{"event": "here"}, HOLD, Ended(0)]] for run in ids(found)})
    stage.on_start = lambda: stage.let_go.set() if len(stage.started) == 2 else None
    stage.play(found, 2)
    assert stage.most == 2 and sorted(stage.started) == sorted(ids(found))


def test_what_follows_from_work_that_is_done_goes_before_what_waits(tmp_path: Path) -> None:
    found = tickets(tmp_path, [9.0, 8.0, 1.0])
    first, second, after = ids(found)
    stage = Stage({run: [[Ended(0)]] for run in ids(found)})
    stage.following = {first: found[2:]}
    ends = stage.play(found[:2], 1)
    assert stage.started == [first, after, second] and {end.verdict for end in ends.values()} == {"done"}


def test_nothing_follows_after_a_signal(tmp_path: Path) -> None:
    found = tickets(tmp_path, [9.0, 8.0])
    interrupts = Interrupts()
    stage = Stage({ids(found)[0]: [[Ended(0)]]}, interrupts)
    stage.following = {ids(found)[0]: found[1:]}

    def signalled() -> None:
        interrupts.requested = "interrupted"

    stage.on_start = signalled
    stage.play(found[:1], 1)
    assert stage.started == ids(found)[:1]


def sharing(one: RunTicket) -> RunTicket:
    """A ticket that needs key statistics."""
    return one.model_copy(update={"statistics": ((100, (1,)),)})


def test_what_would_wait_for_statistics_in_the_making_begins_after_the_rest(tmp_path: Path) -> None:
    found = tickets(tmp_path, [99.0, 50.0, 20.0, 10.0], models="aaab")
    found = [*map(sharing, found[:2]), found[2], sharing(found[3])]
    first, second, none_needed, other_model = ids(found)
    plays: dict[str, Sequence[Play]] = {run: [[{"event": "here"}, HOLD, Ended(0)]] for run in ids(found)}
    stage = Stage(plays)
    stage.on_start = lambda: stage.let_go.set() if len(stage.started) == 4 else None
    stage.play(found, 4)
    assert stage.started == [first, none_needed, other_model, second]


@pytest.mark.parametrize("event", [{"event": "shared"}, Ended(1)])
def test_once_statistics_are_made_or_were_tried_in_vain_the_longest_goes_first(tmp_path: Path, event: Any) -> None:
    found = tickets(tmp_path, [99.0, 50.0, 20.0], models="aaa")
    found = [*map(sharing, found[:2]), found[2]]
    first, second, none_needed = ids(found)
    rest: dict[str, Sequence[Play]] = {run: [[{"event": "here"}, Ended(0)]] for run in (second, none_needed)}
    stage = Stage(rest | {first: [[event, Ended(0)]]})
    stage.play(found, 1)
    assert stage.started == [first, second, none_needed]


@pytest.mark.parametrize("end", [Ended(0), Ended(1)])
def test_what_comes_after_another_waits_for_its_end_whatever_that_is(tmp_path: Path, end: Ended) -> None:
    first, waits, free = tickets(tmp_path, [1.0, 99.0, 2.0])
    waits = waits.model_copy(update={"after": (first.name, "not among these")})
    stage = Stage({first.name: [[{"event": "here"}, HOLD, end]], waits.name: [[Ended(0)]], free.name: [[Ended(0)]]})
    stage.on_end = lambda: stage.let_go.set()
    ends = stage.play([first, waits, free], 3)
    assert stage.started == [free.name, first.name, waits.name] and ends[waits.name].verdict == "done"


def test_what_another_dispatcher_tried_in_vain_counts(tmp_path: Path) -> None:
    (one,) = tickets(tmp_path, [1.0])
    stage = Stage({one.name: [[Ended(-9)], [Ended(-9)]]})
    assert stage.play([one], 1, {one.name: Attempts(furthest=4, in_vain=1)})[one.name].verdict == "given up"
    assert [event for _, event in stage.told if event["event"] == "attempt"] == [
        {"event": "attempt", "furthest": 4, "in_vain": 2}
    ]


def test_a_killed_process_is_started_again_and_given_up_after_three_deaths_without_progress(tmp_path: Path) -> None:
    found = tickets(tmp_path, [1.0, 1.0])
    good, poisoned = ids(found)
    batch = {"event": "batch", "edits": 5, "seconds_edit": 1.0}
    plays = {good: [[batch, Ended(-9)], [batch | {"edits": 9}, Ended(0)]], poisoned: [[batch, Ended(-9)]] * 4}
    stage = Stage(plays)
    ends = stage.play(found, 2)
    assert (ends[good].verdict, ends[good].code) == ("done", 0)
    assert (ends[poisoned].verdict, ends[poisoned].code) == ("given up", 1)
    assert stage.started.count(poisoned) == 4, "the first death came after progress"
    assert "killed by signal 9" in str(ends[poisoned].reason) and "last words" in str(ends[poisoned].reason)


def test_a_run_that_another_process_works_on_is_tried_later(tmp_path: Path) -> None:
    (one,) = tickets(tmp_path, [1.0])
    busy = [{"event": "error", "kind": "busy", "message": "another process"}, Ended(3)]
    stage = Stage({one.name: [busy, busy, [Ended(0)]]})
    assert stage.play([one], 1)[one.name] == RunEnd("done", 0), "what kept an earlier attempt is no reason of this end"
    assert any("another process" in str(event.get("message")) for _, event in stage.told)


def test_after_a_signal_all_stop_and_nothing_is_begun(tmp_path: Path) -> None:
    found = tickets(tmp_path, [3.0, 2.0, 1.0])
    stage = Stage({run: [[{"event": "here"}, HOLD, Ended(0)]] for run in ids(found)})
    note = stage.tell

    def tell(run: str, event: Mapping[str, Any]) -> None:
        note(run, event)
        if [told["event"] for _, told in stage.told] == ["here", "here"]:
            stage.interrupts.requested = "interrupted"

    stage.tell = tell  # type: ignore[method-assign]
    ends = stage.play(found, 2)
    assert [ends[run].verdict for run in ids(found)] == ["stopped", "stopped", "not begun"]
    assert {end.code for end in ends.values()} == {130}
    assert sorted(stage.stopped) == sorted(stage.started) == sorted(ids(found)[:2])
