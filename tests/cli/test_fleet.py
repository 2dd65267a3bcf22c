"""`palimpsest fleet` and the watching of a Ray cluster, on a played Ray: the words, and what becomes of trouble."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from palimpsest.cli import cluster_checks, fleet_on_ray
from palimpsest.cli.ray_pool import _Watch, conductor_name
from palimpsest.harness.errors import MissingResource, PalimpsestError
from palimpsest.harness.fleet.dispatch import RunEnd
from palimpsest.harness.system.interrupts import Interrupts, Stopped
from tests.cli.helpers import cli
from tests.labs.ray_cluster import played


class Gone(Exception):
    """As Ray says that an actor does not answer."""

    actor_init_failed = False


class NotBegun(Gone):
    """As Ray says that an actor could not begin."""

    actor_init_failed = True


class Raised(Exception):
    """As Ray says what a method of an actor has raised."""


class Silent(Exception):
    """As Ray says that there was no answer in time."""


class PlayedRay:
    """A Ray whose actor answers each call with what comes next of its ``answers``; what it is asked is noted."""

    exceptions = SimpleNamespace(RayActorError=Gone, RayTaskError=Raised, GetTimeoutError=Silent)

    def __init__(self, *answers: object) -> None:
        self.answers: Iterator[object] = iter(answers)
        self.asked: list[str] = []
        self.found: list[str] = []

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(gcs_address="127.0.0.1:1")

    def get_actor(self, name: str) -> Any:
        self.found.append(name)
        return self

    def remote(self, function: object) -> Any:
        return SimpleNamespace(options=lambda **options: SimpleNamespace(remote=lambda *arguments: self))

    def __getattr__(self, method: str) -> Any:
        return SimpleNamespace(remote=lambda *arguments: method)

    def get(self, method: str, timeout: float | None = None) -> object:
        self.asked.append(method)
        answer = next(self.answers)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def kill(self, actor: object) -> None:
        self.asked.append("kill")

    def shutdown(self) -> None:
        pass


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., PlayedRay]:
    """Connects the verb to a played Ray with these answers."""

    def one(*answers: object) -> PlayedRay:
        ray = PlayedRay(*answers)
        monkeypatch.setattr(fleet_on_ray, "connected", lambda address: ray)
        return ray

    return one


def news(*events: tuple[str, Mapping[str, Any]], fault: str | None = None, **ends: str) -> dict[str, Any]:
    told = {name: {"verdict": verdict, "code": 0, "reason": None} for name, verdict in ends.items()}
    return {"life": "1", "version": 1, "events": events, "ends": told, "fault": fault}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palimpsest.cli.ray_pool._POLL_SECONDS", 0.0)


@pytest.mark.parametrize("named", [True, False])
def test_a_home_that_is_named_from_here_has_the_conductor_of_its_whole_path(
    connect: Callable[..., PlayedRay], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    """Runs were handed over with the whole path; stopping them in the home's own folder told nobody."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PALIMPSEST_HOME", raising=False)
    ray = connect({}, None)
    words = ("--home", "results") if named else ()
    assert cli("fleet", "stop", "--on", "ray", *words)[0] == 0
    assert ray.found == [conductor_name(tmp_path / ("results" if named else ".palimpsest"))]


def test_a_conductor_that_does_not_answer_is_no_bug(connect: Callable[..., PlayedRay], tmp_path: Path) -> None:
    connect(Gone("it is started again"))
    code, _, err = cli("fleet", "stop", "--on", "ray", home=tmp_path)
    assert code == 4 and "does not answer (it is started again)" in " ".join(err.split())
    connect(Gone("it is started again"))
    code, _, err = cli("fleet", "--on", "ray", home=tmp_path)
    assert code == 0 and "What waits and what runs is not known" in " ".join(err.split())


def test_where_nothing_is_handed_over_the_words_name_the_place_that_was_asked(
    connect: Callable[..., PlayedRay], tmp_path: Path
) -> None:
    connect({})
    assert "--suite smoke --on ray" in " ".join(cli("fleet", "--on", "ray", home=tmp_path)[2].split())
    assert "--suite smoke --on slurm" in " ".join(cli("fleet", home=tmp_path)[2].split())
    code, out, _ = cli("fleet", "stop", home=tmp_path)
    assert code == 0 and "are on Slurm" in out and "palimpsest fleet stop --on ray" in out


def test_what_a_finished_run_printed_is_not_awaited(tmp_path: Path) -> None:
    (ticket,) = played(tmp_path, "good 1 0")
    ticket.write()
    code, out, _ = cli("fleet", "log", ticket.name, home=tmp_path)
    assert code == 0 and "or is done, and what it printed is removed" in " ".join(out.split())


def watch(ray: PlayedRay, home: Path, ended: Callable[[str, RunEnd], None] = lambda name, end: None) -> _Watch:
    return _Watch(ray, home, "worker", lambda name, event: None, ended)


def test_after_a_second_signal_what_was_at_work_counts_as_stopped(tmp_path: Path) -> None:
    """The command ended with 0 as if all were well, since it had no result of any run."""
    first, second = played(tmp_path, "good 1 0", "good 2 0")
    ray = PlayedRay(None, news((first.name, {"event": "batch", "edits": 1})), Stopped("interrupted"))
    told: dict[str, RunEnd] = {}
    ends = watch(ray, tmp_path, told.__setitem__).until_all_end([first, second], Interrupts())
    assert told == ends
    assert {name: (end.verdict, end.code) for name, end in ends.items()} == {
        first.name: ("stopped", 130),
        second.name: ("not begun", 130),
    }


def test_a_conductor_that_has_failed_is_not_left_for_the_next_command(tmp_path: Path) -> None:
    ray = PlayedRay(None, news(fault="ValueError: no"))
    with pytest.raises(PalimpsestError, match="ValueError: no"):
        watch(ray, tmp_path).until_all_end(played(tmp_path, "good 1 0"), Interrupts())
    assert ray.asked == ["add", "state", "kill"]


def test_a_conductor_that_cannot_begin_is_not_awaited(tmp_path: Path) -> None:
    tickets = played(tmp_path, "good 1 0")
    told = "The actor died in its creation task, Traceback:\n  …\nPermissionError: [Errno 13] Permission denied: 'home'"
    for wait in (
        lambda ray: watch(ray, tmp_path).until_all_end(tickets, Interrupts()),
        lambda ray: watch(ray, tmp_path).leave(tickets),
    ):
        with pytest.raises(MissingResource, match="cannot begin on the cluster's head: PermissionError"):
            wait(PlayedRay(NotBegun(told)))


def test_a_head_that_cannot_write_the_home_is_said_in_one_line(tmp_path: Path) -> None:
    ray = PlayedRay(Raised("ray::Conductor.add()\n  Traceback …\nPermissionError: [Errno 13] Permission denied"))
    with pytest.raises(MissingResource, match="cannot take the runs over: PermissionError"):
        watch(ray, tmp_path).leave(played(tmp_path, "good 1 0"))


@pytest.mark.parametrize("trouble", [[Silent(), Silent()], [Gone(), None]], ids=["no answer", "gone"])
def test_a_head_that_does_not_answer_is_told_once_before_ray_ends_the_command(
    tmp_path: Path, trouble: list[object]
) -> None:
    """Ray ends the process with 1 and not a word that is seen."""
    (ticket,) = played(tmp_path, "good 1 0")
    ray = PlayedRay(None, *trouble, news(**{ticket.name: "done"}), Gone())
    told: list[str] = []
    one = _Watch(ray, tmp_path, "worker", lambda name, event: told.append(event["message"]))
    assert {end.verdict for end in one.until_all_end([ticket], Interrupts()).values()} == {"done"}
    assert len(told) == 1 and "head does not answer" in told[0]


def test_what_follows_is_handed_over_again_when_the_conductor_dies_just_then(tmp_path: Path) -> None:
    first, second = played(tmp_path, "good 1 0", "good 2 0")
    ray = PlayedRay(None, news(**{first.name: "done"}), Gone(), None, news(**{second.name: "done"}), Gone())
    follow = {first.name: [second], second.name: []}.__getitem__
    one = _Watch(ray, tmp_path, "worker", lambda name, event: None, follow=follow)
    assert {end.verdict for end in one.until_all_end([first], Interrupts()).values()} == {"done"}
    assert ray.asked == ["add", "state", "add", "add", "state", "leave"]


def test_a_ticket_that_is_gone_is_tried_again(tmp_path: Path) -> None:
    """Another command's process has done the run, and removed its ticket, just when this one began."""
    code, _, err = cli("run", "--ticket", str(tmp_path / "fleet" / "3f9c.json"))
    assert code == 4 and "is gone" in err


@pytest.mark.parametrize("depot", [None, "s3://bucket/folder"])
def test_doctor_asks_nodes_for_a_shared_home_only_where_no_depot_keeps_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depot: str | None
) -> None:
    asked: list[bool] = []
    node = {"NodeManagerAddress": "10.0.0.1", "NodeID": "a" * 56, "Alive": True, "Resources": {"CPU": 1.0}}
    ray = SimpleNamespace(nodes=lambda: [node], shutdown=lambda: None, __version__="2.60")

    def census(ray: Any, home: Path, distributions: Any, *, shared: bool) -> dict[str, str]:
        asked.append(shared)
        return {}

    monkeypatch.setattr(cluster_checks, "connected", lambda address: ray)
    monkeypatch.setattr(cluster_checks, "census", census)
    found = [*cluster_checks.parts("ray", "", depot, tmp_path)[0][1]()]
    assert asked == [depot is None] and ("sees the home" in found[1].found) == (depot is None)
