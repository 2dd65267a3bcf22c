"""Measure what Ray costs: trivial runs through a cluster and through the local pool, and the command that watches many.

Usage: OMP_NUM_THREADS=1 python -m benchmarks.ray_overhead PLACE [--runs 300] [--tickets 1300] [--seconds 60]

The cluster is that of the tests: a head without CPUs and two nodes with one CPU each, on this machine. The runs are
played, in a new interpreter each, with both ways of starting them. The command hands over so many tickets, watches
them for so long without and with a table on a terminal, and is stopped; its share of one core is processor time over
wall time, from the moment at which the first run has begun. One line of JSON for each figure.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, cast

from rich.console import Console

from palimpsest.cli.board import LiveBoard
from palimpsest.cli.ray_pool import dispatch_on_ray
from palimpsest.harness.fleet.dispatch import Dispatcher
from palimpsest.harness.fleet.local import LocalKeeper
from palimpsest.harness.fleet.prepared import Prepared
from palimpsest.harness.fleet.ticket import RunTicket
from palimpsest.harness.system import child
from palimpsest.harness.system.interrupts import Interrupts
from tests.labs.ray_cluster import LabCluster, played

WORKER = "tests.labs.played_worker"
SLOTS = 2


class NewInterpreters:
    """Starts played processes here, in place of a `Prepared`."""

    def start(self, ticket: Path, errors: IO[bytes]) -> Any:
        """Start the process of a ticket."""
        return child.start_kept("-m", WORKER, str(ticket), errors=errors)


def in_pool(tickets: Sequence[RunTicket]) -> float:
    """Seconds that the local pool takes."""
    begin = time.perf_counter()
    starter = cast("Prepared", NewInterpreters())
    with Interrupts() as interrupts:
        dispatcher = Dispatcher(
            tickets,
            SLOTS,
            lambda ticket, hear: LocalKeeper(ticket, starter, hear),
            tell=lambda name, event: None,
        )
        ends = dispatcher.run(interrupts)
    assert {end.verdict for end in ends.values()} == {"done"}
    return time.perf_counter() - begin


def on_ray(tickets: Sequence[RunTicket], address: str) -> float:
    """Seconds that the cluster takes, with the look at its nodes and the start of the conductor."""
    begin = time.perf_counter()
    ends = dispatch_on_ray(tickets, address, tell=lambda name, event: None, worker=WORKER)
    assert {end.verdict for end in ends.values()} == {"done"}
    return time.perf_counter() - begin


def share_of_core(tickets: Sequence[RunTicket], address: str, seconds: float, *, painted: bool) -> float:
    """Share of one core that the command needs while it watches, in percent."""
    planned: Any = [SimpleNamespace(spec=ticket.spec) for ticket in tickets]
    since: list[tuple[float, float]] = []
    found: list[float] = []

    def measured() -> None:
        processor, clock = since[0]
        found.append(100 * (time.process_time() - processor) / (time.perf_counter() - clock))
        os.kill(os.getpid(), signal.SIGINT)

    def begun(name: str, event: Mapping[str, Any]) -> None:
        if event["event"] == "batch" and not since:
            since.append((time.process_time(), time.perf_counter()))
            threading.Timer(seconds, measured).start()

    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        board = LiveBoard(planned, Console(file=nowhere, force_terminal=True, width=140)) if painted else None

        def tell(name: str, event: Mapping[str, Any]) -> None:
            if board is not None:
                board.tell(name, event)
            begun(name, event)

        dispatch_on_ray(tickets, address, tell=tell, worker=WORKER)
        if board is not None:
            board.close()
    return found[0]


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("place", type=Path)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--tickets", type=int, default=1300)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    cluster = LabCluster(SLOTS)
    try:
        many = ["good 1 0"] * given.runs
        for name, seconds in (
            ("local pool", in_pool(played(given.place / "pool", *many))),
            ("ray", on_ray(played(given.place / "ray", *many), cluster.address)),
        ):
            print(json.dumps({"runs": given.runs, "by": name, "seconds": seconds, "each": seconds / given.runs}))
        for painted in (False, True):
            waiting = played(given.place / f"watch-{painted}", *["good 100000 1"] * given.tickets)
            share = share_of_core(waiting, cluster.address, given.seconds, painted=painted)
            print(json.dumps({"tickets": given.tickets, "painted": painted, "percent of a core": share}))
    finally:
        cluster.close()


if __name__ == "__main__":
    main()
