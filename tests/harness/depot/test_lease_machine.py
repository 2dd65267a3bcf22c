"""Any order of requests, lost answers, late deliveries, silences and kills: one publisher, whole heads, nothing lost.

The code under test is that of real depots; only the store, clocks and processes are models. More examples than the
suite has time for: ``PALIMPSEST_TEST_EXAMPLES=5000 pytest tests/harness/depot/test_lease_machine.py``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from palimpsest.harness.depot.blobs import contents
from palimpsest.harness.depot.head import HEADS, RUNS, Head, look
from palimpsest.harness.depot.kept_run import KeptRun
from palimpsest.harness.depot.lease import Lease
from palimpsest.harness.depot.store import Unreachable
from palimpsest.harness.errors import RunBusy
from palimpsest.harness.runs.reading import RunState
from tests.labs.depot_history import newest_save, no_epoch_has_two_publishers, nothing_published_is_lost
from tests.labs.object_store import NO_ANSWER, Actor, Killed, ModelStore, Objects, Request

RUN = "c0ffee"
TTL = 60.0
EXAMPLES = int(os.environ.get("PALIMPSEST_TEST_EXAMPLES", "60"))
FAULTS = ("done", "done", "done", "done", "answer lost", "never arrives", "arrives later", "done twice")


class Worker:
    """A process that works on the run: its thread, the one that beats, its clock, and its scratch folder."""

    def __init__(self, objects: Objects, folder: Path, lease: type[Lease], kept: type[KeptRun]) -> None:
        self.objects = objects
        self.main = Actor()
        self.beating = Actor()
        self.time = 0.0
        self.holds = False
        self.folder = folder
        self._threads: dict[int, Actor] = {}
        store = ModelStore(objects, self._actor)
        self.lease = lease(store, RUN, ttl=TTL, time=SimpleNamespace(monotonic=lambda: self.time, sleep=self._sleep))
        self.kept = kept(store, self.lease, folder)
        self.main.begin(self._as(self.main, self._take))

    def _as(self, actor: Actor, work: Callable[[], Any]) -> Callable[[], Any]:
        def noted() -> Any:
            self._threads[threading.get_ident()] = actor
            return work()

        return noted

    def _actor(self) -> Actor:
        return self._threads[threading.get_ident()]

    def _sleep(self, seconds: float) -> None:
        self._actor().ask(Request("sleep", lambda: setattr(self, "time", self.time + seconds)))

    def _take(self) -> None:
        self.lease.take()
        self.holds = True
        lost = self.kept.fetch()
        if lost:  # who is no longer the owner may come too late
            assert Head.model_validate_json(self.objects.content[f"{HEADS}/{RUN}.json"]).owner != self.lease.owner

    def work(self) -> int:
        """Make the next piece: scores that stay, a save of which the newest two stay, and a line in the journal."""
        number = len(list(self.folder.glob("scores/*"))) + 1
        for kind in ("scores", "checkpoints"):
            (self.folder / kind / f"{number:06d}").mkdir(parents=True, exist_ok=True)
            (self.folder / kind / f"{number:06d}" / "file").write_text(f"{kind} {number}\n")
        for old in sorted((self.folder / "checkpoints").iterdir())[:-2]:
            shutil.rmtree(old)
        with (self.folder / "events.jsonl").open("a") as journal:
            journal.write(f"{number} by {self.lease.owner}\n")
        return number

    def publish(self, number: int, *, release: bool) -> None:
        def publish() -> int:
            self.kept.publish(RunState("partial", number))
            if release:
                self.kept.leave()
            return number

        self.main.begin(self._as(self.main, publish))

    def beat(self) -> None:
        self.beating.begin(self._as(self.beating, self.lease.swap))

    def standing(self) -> Actor | None:
        """The thread that may go on: one that beats holds a lock that the other may want."""
        return next((actor for actor in (self.beating, self.main) if actor.request is not None), None)

    def kill(self) -> None:
        for actor in (self.beating, self.main):
            if actor.request is not None:
                actor.go_on(Killed())


class DepotMachine(RuleBasedStateMachine):
    """Three processes, one run."""

    lease: type[Lease] = Lease
    kept: type[KeptRun] = KeptRun

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(dir=_quick()))
        self.objects = Objects(written=self._written)
        self.heads: list[Head] = []
        self.journal = b""
        self.late: list[Callable[[], Any]] = []
        self.workers: dict[int, Worker] = {}

    def teardown(self) -> None:
        for worker in self.workers.values():
            worker.kill()
        shutil.rmtree(self.place)

    def _written(self, key: str) -> None:
        """A head has been written: it must be whole, and go on from the one before."""
        head = Head.model_validate_json(self.objects.content[key])
        for name, blob in head.files.items():
            data = self.objects.content.get(f"{RUNS}/{RUN}/{blob.key}")
            assert data is not None, f"the head of beat {head.beat} names {name}, which is not there"
            assert hashlib.sha256(data).hexdigest() == blob.sha256
        blob = head.files.get("events.jsonl")
        journal = self.objects.content[f"{RUNS}/{RUN}/{blob.key}"] if blob else b""
        if self.heads:
            no_epoch_has_two_publishers(self.heads[-1], head)
            nothing_published_is_lost(self.heads[-1], head)
            assert journal.startswith(self.journal), "a line of the journal is lost"
        self.heads.append(head)
        self.journal = journal

    @rule(who=st.integers(0, 2))
    def starts(self, who: int) -> None:
        if who not in self.workers:
            self.workers[who] = Worker(self.objects, self.place / str(who) / RUN, self.lease, self.kept)

    @rule(who=st.integers(0, 2), how=st.sampled_from(FAULTS))
    def goes_on(self, who: int, how: str) -> None:
        """One request of a process is done, somehow."""
        worker = self.workers.get(who)
        actor = worker.standing() if worker else None
        if worker is None or actor is None or actor.request is None:
            return
        do = actor.request.do
        if how == "arrives later":
            self.late.append(do)
        answer = do() if how in ("done", "answer lost", "done twice") or actor.request.kind == "sleep" else None
        if how == "done twice":
            answer = do()
        actor.go_on(answer if how in ("done", "done twice") or actor.request.kind == "sleep" else NO_ANSWER)
        self._ended(who, actor)

    @rule(who=st.integers(0, 2), steps=st.integers(2, 40))
    def goes_on_undisturbed(self, who: int, steps: int) -> None:
        for _ in range(steps):
            if who in self.workers and self.workers[who].standing():
                self.goes_on(who, "done")

    def goes_on_to(self, who: int, kind: str) -> None:
        """Until it asks for something of this kind."""
        while (actor := self.workers[who].standing()) and actor.request and actor.request.kind != kind:
            self.goes_on(who, "done")
        assert self.workers[who].standing() is not None

    @rule(which=st.integers(0, 100))
    @precondition(lambda self: self.late)
    def something_arrives_late(self, which: int) -> None:
        self.late.pop(which % len(self.late))()

    @rule(who=st.integers(0, 2), release=st.sampled_from((False, False, False, True)))
    def publishes(self, who: int, release: bool) -> None:
        worker = self.workers.get(who)
        if worker is not None and worker.holds and worker.standing() is None:
            worker.publish(worker.work(), release=release)
            self._ended(who, worker.main)

    @rule(who=st.integers(0, 2), times=st.integers(1, 4))
    def goes_far(self, who: int, times: int) -> None:
        """A good while without any trouble, from wherever the process stands."""
        self.starts(who)
        for _ in range(times):
            self.goes_on_undisturbed(who, 40)
            self.publishes(who, release=False)

    @rule(who=st.integers(0, 2))
    def beats(self, who: int) -> None:
        """Also while files go up and down, but not while the other thread swaps."""
        worker = self.workers.get(who)
        if worker is None or not worker.holds or worker.beating.request is not None:
            return
        if worker.main.request is None or worker.main.request.kind not in ("put", "read"):
            worker.beat()

    @rule(who=st.integers(0, 2), seconds=st.sampled_from((1.0, TTL / 4, TTL, 10 * TTL)))
    def time_passes(self, who: int, seconds: float) -> None:
        """Clocks go as they like."""
        if who in self.workers:
            self.workers[who].time += seconds

    @rule(who=st.integers(0, 2), arrives=st.booleans())
    def is_killed(self, who: int, arrives: bool) -> None:
        """What the process has asked for may still arrive."""
        worker = self.workers.pop(who, None)
        if worker is not None:
            actors = (worker.main, worker.beating)
            self.late += [
                a.request.do for a in actors if a.request is not None and arrives and a.request.kind != "sleep"
            ]
            worker.kill()

    def _ended(self, who: int, actor: Actor) -> None:
        """A process whose work has ended: it has published, or may not, or gives up."""
        if actor.request is not None:
            return
        worker = self.workers[who]
        how, value = actor.ended
        if how == "raised":
            assert isinstance(value, RunBusy | Unreachable), repr(value)
        if actor is not worker.main:
            return
        if how == "returned" and isinstance(value, int):
            assert f"scores/{value:06d}/file" in self.heads[-1].files, "it was told that this is published"
        released = self.heads[-1:] == [worker.lease.head] and not worker.lease.head.owner
        if released or isinstance(value, RunBusy) or not worker.holds:
            worker.kill()
            del self.workers[who]

    @invariant()
    def the_head_is_whole(self) -> None:
        found = self.objects.read(f"{HEADS}/{RUN}.json")
        if found is not None:
            for name, blob in Head.model_validate_json(found[0]).files.items():
                assert f"{RUNS}/{RUN}/{blob.key}" in self.objects.content, f"{name} is gone"


def _quick() -> str | None:
    """A folder in memory where there is one: files are many here, and synced."""
    return "/dev/shm" if Path("/dev/shm").is_dir() and os.access("/dev/shm", os.W_OK) else None


HOW = settings(
    deadline=None,
    max_examples=EXAMPLES,
    stateful_step_count=60,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[*HealthCheck],
)


def test_one_publisher_whole_heads_and_nothing_lost() -> None:
    run_state_machine_as_test(DepotMachine, settings=HOW)


class BelievesInSuccess(Lease):
    """Takes no answer for yes."""

    def swap(self, **changes: Any) -> None:
        try:
            super().swap(**changes)
        except Unreachable:
            self._know(self.head.next(**changes), self._tag, 0.0)


class AdoptsAnyHead(Lease):
    """Goes on from whatever head it finds."""

    def _in_the_way(self, wanted: Head) -> Any:
        return look(self._store, wanted.run)


class UploadsLast(KeptRun):
    """Publishes before the blobs are there."""

    def _upload(self, key: str, file: Path) -> None:
        self._later = [*getattr(self, "_later", []), (key, file)]

    def publish(self, state: RunState) -> None:
        super().publish(state)
        for key, file in self.__dict__.pop("_later", []):
            if file.exists():
                super()._upload(key, file)


class NamesByContent(KeptRun):
    """Uses a key again that it, or another owner, may still be removing."""

    def _key(self, digest: str) -> str:
        return digest


class RemovesFirst(KeptRun):
    """Removes what the next head will no longer name before that is there."""

    def publish(self, state: RunState) -> None:
        kept = {hashlib.sha256(path.read_bytes()).hexdigest() for _, path in contents(self._folder)}
        self._remove({blob.key for blob in self._lease.head.files.values() if blob.sha256 not in kept})
        super().publish(state)


@pytest.mark.parametrize("mistake", [AdoptsAnyHead, UploadsLast, RemovesFirst])
def test_the_machine_finds_a_mistake(mistake: Any) -> None:
    how = settings(HOW, max_examples=3000, derandomize=True, database=None)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(with_mistake(mistake), settings=how)


def with_mistake(mistake: Any) -> type[DepotMachine]:
    lease, kept = (mistake, KeptRun) if issubclass(mistake, Lease) else (Lease, mistake)
    return type("Mistaken", (DepotMachine,), {"lease": lease, "kept": kept})


def a_swap_that_never_arrives(machine: DepotMachine) -> None:
    machine.goes_far(0, 1)
    machine.publishes(0, release=False)
    machine.goes_on_to(0, "put")
    machine.goes_on(0, "never arrives")
    machine.goes_on_undisturbed(0, 40)


def a_removal_that_arrives_when_its_content_is_needed_again(machine: DepotMachine) -> None:
    machine.goes_far(0, 2)
    machine.goes_on_to(0, "put")
    machine.is_killed(0, arrives=False)
    machine.starts(1)
    machine.goes_on_to(1, "remove")
    machine.goes_on(1, "arrives later")
    machine.goes_far(1, 1)
    machine.goes_on_undisturbed(1, 40)
    assert newest_save(machine.heads[-1]).startswith("checkpoints/000002")
    machine.something_arrives_late(0)


@pytest.mark.parametrize(
    ("course", "mistake"),
    [
        (a_swap_that_never_arrives, BelievesInSuccess),
        (a_removal_that_arrives_when_its_content_is_needed_again, NamesByContent),
    ],
)
def test_what_chance_seldom_finds(course: Callable[[DepotMachine], None], mistake: Any) -> None:
    for machine in (DepotMachine(), with_mistake(mistake)()):
        try:
            if type(machine) is DepotMachine:
                course(machine)
                machine.the_head_is_whole()
            else:
                with pytest.raises(AssertionError):
                    course(machine)
                    machine.the_head_is_whole()
        finally:
            machine.teardown()
