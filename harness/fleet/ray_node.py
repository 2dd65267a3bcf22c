"""Tasks of Ray on a node of a cluster: an attempt at a ticket, and a look at what is installed."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import ray
from filelock import FileLock, Timeout

from palimpsest.harness.fleet.local import events_of, last_words
from palimpsest.harness.fleet.ticket import versions_here
from palimpsest.harness.system import child
from palimpsest.harness.system.atomic_files import atomic_write_text
from palimpsest.harness.system.environment import environment_segment

NAMESPACE = "palimpsest"
"""Namespace of all our names in a cluster."""
BEAT = 1.0
"""Seconds between two reports of an attempt; each brings back whether it is to stop."""
_STOPPED = 143


def keep(
    conductor: str,
    name: str,
    attempt: int,
    text: str,
    place: str,
    worker: str,
    variables: Mapping[str, str],
    secret: tuple[str, ...] = (),
) -> tuple[int, str]:
    """Keep the process of a ticket until it ends; its exit code, and the last line that it printed for people.

    Where this is broken off, or the conductor does not answer, the process's stdin ends, and it stops in order.

    Args:
        conductor: Name of the actor that hears of it.
        name: Name of the ticket.
        attempt: Number of the attempt; the conductor tells all but the newest to stop.
        text: The ticket.
        place: Its file.
        worker: Module that works on it.
        variables: Environment variables for the process.
        secret: Beginnings of the names of those that it takes from this node.
    """
    chief = ray.get_actor(conductor, NAMESPACE)
    node = ray.get_runtime_context().get_node_id()

    def report(events: list[Mapping[str, Any]]) -> int | None:
        # Not `ray.get`: a task that waits in it counts as idle, and its CPU is given to another.
        wish: int | None = chief.hear.remote(name, attempt, node, events).future().result()
        return wish

    if report([]) is not None:
        return _STOPPED, ""
    own = {known: value for known, value in os.environ.items() if secret and known.upper().startswith(secret)}
    log = Path(place).with_suffix(".log")
    atomic_write_text(Path(place), text)
    with (
        log.open("wb") as errors,
        child.start_kept("-m", worker, place, errors=errors, variables={**own, **variables}) as process,
    ):
        told: queue.SimpleQueue[Mapping[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=_read, args=(process.stdout, told), daemon=True).start()
        sent: int | None = None
        over = False
        while not over:
            events, over = _heard(told)
            wish = report(events)
            if wish not in (None, sent):
                process.send_signal(wish)
                sent = wish
        return process.wait(), last_words(log)


def _read(lines: Any, told: queue.SimpleQueue[Mapping[str, Any] | None]) -> None:
    """Put every event of a process into a queue, and None behind the last."""
    try:
        for event in events_of(lines):
            told.put(event)
    except ValueError:  # closed meanwhile
        pass
    told.put(None)


def _heard(told: queue.SimpleQueue[Mapping[str, Any] | None]) -> tuple[list[Mapping[str, Any]], bool]:
    """The events of the last beat, and whether no other will come."""
    events: list[Mapping[str, Any]] = []
    try:
        event = told.get(timeout=BEAT)
        while event is not None:
            events.append(event)
            event = told.get_nowait()
    except queue.Empty:
        return events, False
    return events, True


def look(distributions: list[str], seen: str, held: str) -> dict[str, Any]:
    """Look at what a node has: versions, the commit of Palimpsest, and the home that all are to share.

    Args:
        distributions: Those whose editors are used.
        seen: A file in the home; the node must see it.
        held: A lock file in the home, held by the command; the node must not get it.
    """
    versions = versions_here() | {"commit": environment_segment(())["commit"] or ""}
    for name in distributions:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    there = Path(seen).is_file()
    return {"versions": versions, "home": there, "locks": not there or _refused(held)}


def _refused(held: str) -> bool:
    try:
        with FileLock(held, timeout=0):
            return False
    except Timeout:
        return True
