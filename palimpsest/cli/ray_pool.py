"""Work on a Ray cluster: what is checked before, the conductor that is found or made, and how it is followed."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.cli.depots import VARIABLES
from palimpsest.cli.pool import at_once
from palimpsest.cli.ray_census import last_line, require_alike, require_room
from palimpsest.harness.errors import MissingResource, PalimpsestError, UsageError, first_line
from palimpsest.harness.fleet.dispatch import RunEnd
from palimpsest.harness.plugins.entry_points import RESTRICTION
from palimpsest.harness.system.environment import DISTRIBUTION
from palimpsest.harness.system.interrupts import Interrupts, Stopped

if TYPE_CHECKING:
    from palimpsest.harness.fleet.ticket import Ticket

WORKER = "palimpsest.cli.ticket_worker"
KINDS = "palimpsest.cli.ticket_kinds"
_POLL_SECONDS = 1.0
_SILENCE_SECONDS = 20.0
_SILENCE = (
    "The cluster's head does not answer. If it is gone, this command ends within a minute, all runs save and end, and "
    "the same command goes on with them on a new cluster."
)
_NONE = (
    "No Ray cluster answers{place}. Start one with `ray start --head`, and `ray start --address=HOST:6379` elsewhere."
)


def ray_address(text: str | None) -> str | None:
    """The address in ``--on ray`` (``auto``) or ``--on ray:HOST:PORT``; None: it is not meant for Ray.

    Raises:
        UsageError: It is no address.
    """
    if text is None or text.partition(":")[0] != "ray":
        return None
    if text.startswith("ray://"):
        raise UsageError(
            "--on ray://…: Ray's client is not offered. Give the command on the cluster's head, with --on ray; with "
            "--detach too it does not wait for the runs."
        )
    if text == "ray":
        return "auto"
    host, _, port = text.removeprefix("ray:").rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65536:
        raise UsageError(f"--on: expected ray or ray:HOST:PORT, got {text!r}.")
    return f"{host}:{port}"


def place_of_work(text: str | None) -> None:
    """Refuse an ``--on`` that is no place.

    Raises:
        UsageError: It is neither on this machine nor on a Ray cluster.
    """
    if ray_address(text) is None:
        at_once(text, or_else="ray, ray:HOST:PORT")


def dispatch_on_ray(
    tickets: Sequence[Ticket],
    address: str,
    *,
    tell: Callable[[str, Mapping[str, Any]], None],
    ended: Callable[[str, RunEnd], None] = lambda name, end: None,
    follow: Callable[[str], Sequence[Ticket]] = lambda name: (),
    worker: str = WORKER,
    fresh: bool = False,
) -> dict[str, RunEnd]:
    """`palimpsest.cli.pool.dispatch` on a Ray cluster: work goes on there when this process dies.

    Args:
        tickets: The work; all of one home, which every node of the cluster sees.
        address: Of the cluster; ``auto``: the one that this machine belongs to.
        tell: Receives (name, event).
        ended: Receives each that will not be tried again.
        follow: Gives what is to be done next after work that is done.
        worker: Module that works on tickets.
        fresh: Begin again what has ended there, seen by nobody.

    Raises:
        MissingResource: There is no cluster, a node differs, or no node could ever carry the work.
    """
    with _cluster(address, tickets) as ray, Interrupts() as interrupts:
        watch = _Watch(ray, Path(tickets[0].home), worker, tell, ended, follow, fresh=fresh)
        return watch.until_all_end(tickets, interrupts)


def leave_to_ray(tickets: Sequence[Ticket], address: str, *, worker: str = WORKER, fresh: bool = False) -> None:
    """Begin what `dispatch_on_ray` begins, and do not watch it; it takes the same arguments, and raises as it does."""
    with _cluster(address, tickets) as ray:
        _Watch(ray, Path(tickets[0].home), worker, lambda name, event: None, fresh=fresh).leave(tickets)


@contextmanager
def _cluster(address: str, tickets: Sequence[Ticket]) -> Iterator[Any]:
    """Ray, connected to a cluster that can do the work of tickets."""
    ray = connected(address)
    try:
        require_room(tickets, [node["Resources"] for node in ray.nodes() if node["Alive"]])
        require_alike(ray, Path(tickets[0].home), tickets)
        yield ray
    finally:
        ray.shutdown()


@contextmanager
def noise_into(log: Path) -> Iterator[None]:
    """Lead what Ray's libraries print past Python into a file, since it would tear the table."""
    log.parent.mkdir(parents=True, exist_ok=True)
    ours, before = os.dup(2), sys.stderr
    with log.open("ab") as noise, os.fdopen(ours, "w", encoding="utf-8", errors="replace", buffering=1) as stream:
        os.dup2(noise.fileno(), 2)
        if before is sys.__stderr__:
            sys.stderr = stream
        try:
            yield
        finally:
            sys.stderr = before
            os.dup2(ours, 2)


def connected(address: str) -> Any:
    """Ray, connected to a cluster.

    Raises:
        MissingResource: Ray is not installed, or no cluster answers that can be used.
    """
    try:
        # Late: an extra; nothing of it is loaded unless asked for.
        import ray
    except ImportError as error:
        raise MissingResource(
            f"--on ray needs Ray: pip install '{DISTRIBUTION}[ray]', here and on every node."
        ) from error
    # Late: Ray comes with it.
    from palimpsest.harness.fleet.ray_node import NAMESPACE

    place = "" if address == "auto" else f" at {address}"
    try:
        if place:
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.CRITICAL)
    except (ConnectionError, OSError) as error:
        raise MissingResource(_NONE.format(place=place)) from error
    except (RuntimeError, ValueError) as error:  # other versions of Ray or Python, among others
        raise MissingResource(f"The Ray cluster{place} cannot be used: {first_line(error)}") from error
    return ray


def conductor_name(home: Path) -> str:
    """Name of the conductor of a home."""
    return f"conductor-{hashlib.sha256(str(home.absolute()).encode()).hexdigest()[:12]}"


class _Watch:
    """Hands tickets to the conductor of a home and follows it."""

    def __init__(
        self,
        ray: Any,
        home: Path,
        worker: str,
        tell: Callable[[str, Mapping[str, Any]], None],
        ended: Callable[[str, RunEnd], None] = lambda name, end: None,
        follow: Callable[[str], Sequence[Ticket]] = lambda name: (),
        *,
        fresh: bool = False,
    ) -> None:
        self._ray = ray
        self._home = home
        self._worker = worker
        self._tell = tell
        self._ended = ended
        self._follow = follow
        self._fresh = fresh
        self._tickets: dict[str, Ticket] = {}
        self._ends: dict[str, RunEnd] = {}
        self._begun: set[str] = set()
        self._warned: set[str] = set()

    def leave(self, tickets: Sequence[Ticket]) -> None:
        """Hand tickets over, to this conductor or, where it ends meanwhile, to the next."""
        while True:
            try:
                self._hand_over(self._conductor(), tickets)
                return
            except self._ray.exceptions.RayActorError as error:
                _require_begun(error)
            time.sleep(_POLL_SECONDS)

    def until_all_end(self, tickets: Sequence[Ticket], interrupts: Interrupts) -> dict[str, RunEnd]:
        self._tickets = {ticket.name: ticket for ticket in tickets}
        gone = self._ray.exceptions.RayActorError
        conductor: Any = None
        life, version = "", 0
        more: Collection[Ticket] = ()
        try:
            while len(self._ends) < len(self._tickets):
                try:
                    if conductor is None:
                        conductor = self._conductor()
                        more = self._tickets.values()
                    if more:
                        self._hand_over(conductor, more)
                        more = ()
                    news = self._ray.get(
                        conductor.state.remote(life, version, interrupts.requested), timeout=_SILENCE_SECONDS
                    )
                except self._ray.exceptions.GetTimeoutError:
                    self._warn(_SILENCE)
                    continue
                except gone as error:  # Ray starts it again, or another command has ended it
                    _require_begun(error)
                    if not self._head_answers():
                        self._warn(_SILENCE)
                    conductor = None
                    time.sleep(_POLL_SECONDS)
                    continue
                if news["fault"]:
                    self._ray.kill(conductor)  # or the next command would find it
                    raise PalimpsestError(f"The conductor on the Ray cluster has failed: {news['fault']}")
                life, version = news["life"], news["version"]
                more = self._take(news)
                self._tickets |= {ticket.name: ticket for ticket in more}
                if not more and len(self._ends) < len(self._tickets):
                    time.sleep(_POLL_SECONDS)
            with suppress(gone):
                self._ray.get(conductor.leave.remote())
        except Stopped as again:  # a second signal; what goes on has been told to save and end
            code = 130 if again.word == "interrupted" else 143
            for name in self._tickets.keys() - self._ends.keys():
                begun = name in self._begun
                self._ends[name] = RunEnd(
                    "stopped" if begun else "not begun", code, "it saves and ends by itself" if begun else None
                )
                self._ended(name, self._ends[name])
        return self._ends

    def _take(self, news: Mapping[str, Any]) -> list[Ticket]:
        """Tell what is new, and collect what follows from what is done."""
        for name, event in news["events"]:
            if name in self._tickets:
                self._begun.add(name)
                self._tell(name, event)
        more: list[Ticket] = []
        for name, end in news["ends"].items():
            if name in self._tickets and name not in self._ends:
                self._ends[name] = RunEnd(**end)
                self._ended(name, self._ends[name])
                more += self._follow(name) if end["verdict"] == "done" else ()
        return more

    def _head_answers(self) -> bool:
        """Tell if there is a head; without one the next call of Ray's waits a minute, then Ray ends this process."""
        host, _, port = self._ray.get_runtime_context().gcs_address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError:
            return False
        return True

    def _warn(self, message: str) -> None:
        """Tell it once, of a run that has not ended."""
        if message not in self._warned:
            self._warned.add(message)
            name = next(iter(self._tickets.keys() - self._ends.keys()))
            self._tell(name, {"event": "warning", "message": message})

    def _conductor(self) -> Any:
        """The conductor of this home, found or made; it stays on the head, whatever happens to other nodes."""
        # Late: Ray comes with it.
        from palimpsest.harness.fleet.conductor import Conductor

        name = conductor_name(self._home)
        variables = {RESTRICTION: os.environ[RESTRICTION]} if RESTRICTION in os.environ else {}
        actor = self._ray.remote(Conductor).options(
            name=name,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            resources={"node:__internal_head__": 0.001},
            max_restarts=-1,
        )
        return actor.remote(name, str(self._home), self._worker, KINDS, variables, VARIABLES)

    def _hand_over(self, conductor: Any, tickets: Collection[Ticket]) -> None:
        texts = [ticket.model_dump_json() for ticket in tickets if ticket.name not in self._ends]
        try:
            self._ray.get(conductor.add.remote(texts, self._fresh))
        except self._ray.exceptions.RayTaskError as error:
            raise MissingResource(f"The cluster's head cannot take the runs over: {last_line(error)}") from error


def _require_begun(error: Any) -> None:
    """Refuse to wait for a conductor that cannot begin, as where the head may not write the home."""
    if error.actor_init_failed:
        raise MissingResource(f"The conductor cannot begin on the cluster's head: {last_line(error)}") from error
