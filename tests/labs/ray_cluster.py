"""A Ray cluster of several nodes on this machine, whose nodes can be lost, and played work for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from palimpsest.harness.fleet.dispatch import RunEnd
from palimpsest.harness.fleet.ticket import Course, Means, RunTicket, read_ticket
from tests.labs.run_lab import spec

ROOT = Path(__file__).resolve().parents[2]
_MEMORY = {"memory": 4 << 30, "object_store_memory": 100 << 20}


class LabCluster:
    """A head without CPUs and nodes with one CPU each."""

    def __init__(self, nodes: int) -> None:
        os.environ.update(RAY_USAGE_STATS_ENABLED="0", PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **_MEMORY})
        self.address = str(self._cluster.address)
        self.nodes = [self.add() for _ in range(nodes)]

    def add(self, **resources: Any) -> Any:
        """A new node."""
        return self._cluster.add_node(**{"num_cpus": 1, **_MEMORY, **resources})

    def node_of(self, ticket: str) -> Any:
        """The node on which a ticket is worked on."""
        for node in self.nodes:
            raylet = node.all_processes["raylet"][0].process.pid
            if any(f"{ticket}.json" in _title(one) for one in psutil.Process(raylet).children(recursive=True)):
                return node
        raise AssertionError(f"no process works on {ticket}")

    def lose(self, node: Any) -> None:
        """Kill all processes of a node, as when its machine goes off."""
        raylets = [entry.process.pid for entry in node.all_processes["raylet"]]
        for pid in raylets:
            for process in psutil.Process(pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self._cluster.remove_node(node, allow_graceful=False)

    def kill_conductor(self) -> None:
        """Kill the conductor's process."""
        head = self._cluster.head_node.all_processes["raylet"][0].process.pid
        found = [one for one in psutil.Process(head).children(recursive=True) if "Conductor" in _title(one)]
        assert len(found) == 1, "on the head"
        found[0].kill()

    def close(self) -> None:
        """End all nodes."""
        self._cluster.shutdown()


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


def until(true: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.1)


def watch(address: str, tickets: Sequence[RunTicket]) -> dict[str, RunEnd]:
    """Do played work and watch it from this process."""
    from palimpsest.cli.ray_pool import dispatch_on_ray

    return dispatch_on_ray(tickets, address, tell=lambda name, event: None, worker="tests.labs.played_worker")


def watch_elsewhere(address: str, tickets: Sequence[RunTicket]) -> subprocess.Popen[str]:
    """The same from another process, which prints the ends."""
    places = [str(ticket.write()) for ticket in tickets]
    words = [sys.executable, "-m", "tests.labs.ray_cluster", address, *places]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)


if __name__ == "__main__":
    ends = watch(sys.argv[1], [read_ticket(Path(place)) for place in sys.argv[2:]])
    print(sorted(end.verdict for end in ends.values()), sorted(end.code for end in ends.values()))
