"""A Ray cluster of several nodes on this machine, whose nodes can be lost, and played work for it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from palimpsest.harness.fleet.dispatch import RunEnd
from palimpsest.harness.fleet.ticket import Course, Means, RunTicket, read_ticket
from tests.labs.played_worker import GATE
from tests.labs.run_lab import spec

ROOT = Path(__file__).resolve().parents[2]
_NODE = {
    "memory": 4 << 30,
    "object_store_memory": 100 << 20,
    "include_dashboard": False,
    "include_log_monitor": False,
    "no_monitor": True,
}
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_server_port_wait_time_s": "300",
    "RAY_gcs_server_request_timeout_seconds": "300",
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
}
_PATIENT = {
    "health_check_period_ms": 1_000,  # a process that is gone refuses each check at once
    "health_check_timeout_ms": 60_000,  # one that is only slow has time to answer
    "worker_register_timeout_seconds": 600,
    "worker_niceness": 0,  # Ray's 15 leaves them next to nothing of busy cores
    "memory_monitor_refresh_ms": 0,  # what others on the machine need is no reason to kill our workers
}
"""Settings of Ray: a lost node is noticed within seconds, and one on busy cores is not taken for lost."""
_TRIES = 5
"""Starts of a node, of which each must be over after 30 s, however busy the machine; Ray has no setting for that."""


class LabCluster:
    """A head without CPUs and nodes with one CPU each."""

    def __init__(self, nodes: int) -> None:
        self._environment = pytest.MonkeyPatch()
        for name, value in _ENVIRONMENT.items():
            self._environment.setenv(name, value)
        from ray.cluster_utils import Cluster

        self._cluster = Cluster()
        self._wanted = nodes
        self._add(num_cpus=0, _system_config=_PATIENT)
        self.address = str(self._cluster.address)
        self.nodes: list[Any] = []
        self.mend()

    def add(self, **resources: Any) -> Any:
        """A new node."""
        self.nodes.append(self._add(**{"num_cpus": 1, **resources}))
        return self.nodes[-1]

    def mend(self) -> None:
        """Have as many nodes as at the beginning, and nothing of what a test that failed has left to do."""
        if self.conductors():
            self._end_conductors()
        while len(self.nodes) < self._wanted:
            self.add()

    def lose(self, node: Any) -> None:
        """Kill all processes of a node, as when its machine goes off."""
        raylet = _raylet(node)
        raylet.suspend()  # it starts no others meanwhile
        for process in raylet.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def node_of(self, pid: int) -> Any:
        """The node on which a process is."""
        for node in self.nodes:
            if pid in (process.pid for process in _raylet(node).children(recursive=True)):
                return node
        raise AssertionError(f"no node has the process {pid}")

    def kill_conductor(self) -> None:
        """Kill the conductor's process."""
        (conductor,) = self.conductors()
        conductor.kill()

    def close(self) -> None:
        """End all nodes."""
        for node in [*self.nodes]:
            self.lose(node)
        self._cluster.remove_node(self._cluster.head_node, allow_graceful=False)
        self._environment.undo()

    def _add(self, **how: Any) -> Any:
        for left in reversed(range(_TRIES)):
            try:
                return self._cluster.add_node(**{**_NODE, **how})
            except Exception as error:  # so Ray says that its 30 s are over
                if not left or "timed out" not in str(error).lower():
                    raise
        raise AssertionError

    def conductors(self) -> list[psutil.Process]:
        """Processes of conductors; all are on the head."""
        return [one for one in _raylet(self._cluster.head_node).children(recursive=True) if "Conductor" in _title(one)]

    def _end_conductors(self) -> None:
        import ray

        from palimpsest.harness.fleet.ray_node import NAMESPACE

        ray.init(self.address, namespace=NAMESPACE, log_to_driver=False)
        try:
            for name in ray.util.list_named_actors():
                with suppress(ValueError):
                    ray.kill(ray.get_actor(name))
        finally:
            ray.shutdown()
        until(lambda: not self.conductors(), "conductors are gone")


def _raylet(node: Any) -> psutil.Process:
    return psutil.Process(node.all_processes["raylet"][0].process.pid)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def played(home: Path, *plays: str, **means: Any) -> list[RunTicket]:
    """Tickets of work that goes as `tests.labs.played_worker` reads it: ``good EDITS SECONDS`` and others."""
    home.mkdir(parents=True, exist_ok=True)
    return [
        RunTicket(
            home=str(home), spec=spec({"rate": float(place)}), model="tiny", task="tiny", seconds=-place,
            means=Means(**means), course=Course(command=how),
        )
        for place, how in enumerate(plays)
    ]  # fmt: skip


def diary(home: Path) -> list[tuple[str, str]]:
    """(``begin`` or ``end``, ticket) in the order in which it happened."""
    try:
        lines = (home / "diary").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [(words[0], words[1]) for words in map(str.split, lines)]


def most_at_once(home: Path) -> int:
    """Most pieces of work at one moment, of work whose processes were not killed."""
    going = most = 0
    for what, _ in diary(home):
        going += 1 if what == "begin" else -1
        most = max(most, going)
    return most


def open_gate(home: Path) -> None:
    """Let gated work go on."""
    (home / GATE).touch()


def until(true: Callable[[], bool], what: str, seconds: float = 600.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.1)


@contextmanager
def meanwhile(do: Callable[[], None]) -> Iterator[None]:
    """Do something in another thread; it is over afterwards, and what it raised is raised."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(do)
        yield
    done.result()


def watch(
    address: str, tickets: Sequence[RunTicket], tell: Callable[[], None] = lambda: None, *, census: bool = False
) -> dict[str, RunEnd]:
    """Do played work and watch it from this process; ``tell`` is called with every event.

    Only with ``census`` are the nodes looked at first, for which Ray starts a process on each.
    """
    from palimpsest.cli import ray_pool

    with pytest.MonkeyPatch.context() as patch:
        if not census:
            patch.setattr(ray_pool, "require_alike", lambda *_: None)
        worker = "tests.labs.played_worker"
        return ray_pool.dispatch_on_ray(tickets, address, tell=lambda name, event: tell(), worker=worker)


def watch_elsewhere(address: str, tickets: Sequence[RunTicket]) -> subprocess.Popen[str]:
    """The same from another process, which prints the ends."""
    places = [str(ticket.write()) for ticket in tickets]
    words = [sys.executable, "-m", "tests.labs.ray_cluster", address, *places]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)


if __name__ == "__main__":
    ends = watch(sys.argv[1], [read_ticket(Path(place)) for place in sys.argv[2:]])
    print(sorted(end.verdict for end in ends.values()), sorted(end.code for end in ends.values()))
