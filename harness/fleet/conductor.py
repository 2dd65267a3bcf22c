"""The conductor: an actor of Ray that owns the dispatcher of a home, so that runs outlive the command that began them.

Ray queues attempts, places them, and notices lost nodes and workers; its retries are off, since the verdict on an end
is ours. Where the conductor itself dies, Ray starts it again, and it reads its tickets from a file in the home.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import ray
from pydantic import TypeAdapter
from ray.exceptions import RayError, RayTaskError, TaskCancelledError

from palimpsest.harness.errors import first_line
from palimpsest.harness.fleet.demand import demand_of
from palimpsest.harness.fleet.dispatch import Dispatcher, Ended, Hear, RunEnd, longest_first
from palimpsest.harness.fleet.local import forget
from palimpsest.harness.fleet.ray_node import keep
from palimpsest.harness.fleet.ticket import FOLDER, RunTicket, Ticket
from palimpsest.harness.fleet.verdict import Attempts
from palimpsest.harness.system.interrupts import Interrupts

_AHEAD = 2
"""Attempts that wait in Ray's queue, so that no CPU is idle and a cluster that can grow does."""
_LOOK_SECONDS = 5.0
_AGAIN = ("stopped", "not begun")
_LACKING = 4
"""Exit code of a process that lacked something where it was, as disk, or that is on another kind of CPU or GPU."""
_LASTING = ("attempt", "trial")
"""Events that another life of the conductor must know."""


class _Attempt:
    """The keeper of one process somewhere in the cluster."""

    def __init__(self, number: int, hear: Hear) -> None:
        self.number = number
        self.hear = hear
        self.wish: int | None = None
        self.heard = False
        self.choosy = False
        self.node = ""
        self.code: int | None = None
        self.ref: Any = None
        self._words = ""

    def stop(self) -> None:
        self.wish = signal.SIGTERM
        if not self.heard:  # it may wait for resources for a long time
            ray.cancel(self.ref)

    def kill(self) -> None:
        self.wish = signal.SIGKILL

    def last_words(self) -> str:
        return self._words

    def ended(self, future: Any) -> None:
        try:
            code, self._words = future.result()
        except TaskCancelledError:
            code = 143
        except RayTaskError as error:
            words = f"No process could be kept on a node: {str(error).strip().splitlines()[-1]}"
            self.hear({"event": "error", "kind": "error", "message": words})
            code = _LACKING
        except RayError as error:  # the worker or its node is gone
            self._words = first_line(error)
            code = -signal.SIGKILL
        self.code = code
        self.hear(Ended(code))


class Conductor:
    """Dispatches the tickets of one home; its methods are called from other processes."""

    def __init__(
        self, name: str, home: str, worker: str, kinds: str, variables: Mapping[str, str], secret: Sequence[str]
    ) -> None:
        """Begin, or go on after a death.

        Args:
            name: Of this actor.
            home: Folder of runs and caches, the same on all nodes.
            worker: Module that works on tickets.
            kinds: Module whose ``AnyTicket`` says what tickets there are.
            variables: Environment variables for the processes of tickets.
            secret: Beginnings of the names of further variables, which processes that reach a depot take from their
                node: they travel nowhere.
        """
        self._name = name
        self._life = os.urandom(8).hex()
        self._worker = worker
        self._variables = dict(variables)
        self._secret = tuple(secret)
        self._kinds: TypeAdapter[Any] = TypeAdapter(import_module(kinds).AnyTicket)
        self._diary = Path(home) / FOLDER / f"{name}.jsonl"
        self._lock = threading.RLock()
        self._tickets: dict[str, Ticket] = {}
        self._ends: dict[str, tuple[int, RunEnd]] = {}
        self._rows: dict[str, dict[str, tuple[int, Mapping[str, Any]]]] = {}
        self._version = 0
        self._attempts: dict[str, _Attempt] = {}
        self._avoided: dict[str, set[str]] = {}
        self._ended_so_far: dict[str, Attempts] = {}
        self._number = 0
        self._interrupts = Interrupts()
        self._dispatcher: Dispatcher | None = None
        self._fault: str | None = None
        if ray.get_runtime_context().was_current_actor_reconstructed and self._diary.exists():
            self._remember()
        else:
            self._diary.unlink(missing_ok=True)
        threading.Thread(target=self._work, daemon=True).start()
        threading.Thread(target=self._measure, daemon=True).start()

    def add(self, texts: Sequence[str], fresh: bool = False) -> None:
        """Take tickets; none is taken twice, unless it has ended and was stopped, is another now, or begins afresh."""
        if self._fault is not None:
            ray.actor.exit_actor()  # the caller finds the next
        with self._lock:
            new = [ticket for ticket in map(self._kinds.validate_json, texts) if self._is_new(ticket, fresh)]
            for ticket in new:
                ticket.write()
            self._note([{"ticket": ticket.model_dump_json()} for ticket in new])
            self._take(new)
            if self._dispatcher is not None:
                self._dispatcher.add(longest_first(new))

    def leave(self) -> None:
        """End this actor, unless something is left; who hands over meanwhile finds the next."""
        if not self.going_on():
            ray.actor.exit_actor()

    def state(self, life: str, since: int, stop: str | None) -> dict[str, Any]:
        """News for a command that watches.

        Args:
            life: The life of the conductor that ``since`` counts in; in another, all is new.
            since: Version up to which all is known.
            stop: ``interrupted`` or ``terminated``: all runs are to save and end.
        """
        with self._lock:
            if stop is not None and self.going_on():
                self._interrupts.requested = stop
            since = since if life == self._life else 0
            rows = [(*told, name) for name, row in self._rows.items() for told in row.values() if told[0] > since]
            ends = {name: asdict(end) for name, (version, end) in self._ends.items() if version > since}
            return {
                "life": self._life,
                "version": self._version,
                "events": [(name, event) for _, event, name in sorted(rows, key=lambda row: row[0])],
                "ends": ends,
                "fault": self._fault,
            }

    def going_on(self) -> dict[str, str]:
        """Names of the tickets that have not ended → ``running`` or ``pending``."""
        with self._lock:
            running = {name for name, attempt in self._attempts.items() if attempt.heard and attempt.code is None}
            left = [name for name in self._tickets if name not in self._ends]
            return {name: "running" if name in running else "pending" for name in left}

    def hear(self, name: str, attempt: int, node: str, events: Sequence[Mapping[str, Any]]) -> int | None:
        """Hear what an attempt tells; the signal that its process is to get, if any."""
        known = self._attempts.get(name)
        if known is None or known.number != attempt:
            return int(signal.SIGTERM)  # its node was given up; another attempt goes on, or none
        known.heard = True
        known.node = node
        for event in events:
            known.hear(event)
        return None if known.wish is None else int(known.wish)

    def _is_new(self, ticket: Ticket, fresh: bool) -> bool:
        if ticket.name not in self._ends:
            return ticket.name not in self._tickets
        return fresh or self._ends[ticket.name][1].verdict in _AGAIN or self._tickets[ticket.name] != ticket

    def _take(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            self._tickets[ticket.name] = ticket
            self._ends.pop(ticket.name, None)
            self._rows.pop(ticket.name, None)
            self._ended_so_far.pop(ticket.name, None)

    def _remember(self) -> None:
        """Read what was to be done, what had ended, and after how many attempts in vain what goes on is tried again."""
        for line in self._diary.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):  # a line that death cut short
                entry = json.loads(line)
                if "ticket" in entry:
                    self._take([self._kinds.validate_json(entry["ticket"])])
                elif "event" in entry:
                    self._keep(entry["name"], entry["event"])
                else:
                    self._version += 1
                    self._ends[entry["name"]] = (self._version, RunEnd(**entry["end"]))

    def _note(self, entries: Sequence[Mapping[str, Any]]) -> None:
        with suppress(OSError), self._diary.open("a", encoding="utf-8") as diary:  # a full disk: runs go on without it
            diary.writelines(f"\n{json.dumps(entry)}" for entry in entries)

    def _work(self) -> None:
        """Dispatch what has no end yet, again and again."""
        try:
            while True:
                with self._lock:
                    left = [ticket for name, ticket in self._tickets.items() if name not in self._ends]
                    slots = max(1, self._slots(left)) if left else 1
                    self._dispatcher = Dispatcher(
                        left, slots, self._start, tell=self._tell, ended=self._ended, attempts=self._ended_so_far
                    )
                self._dispatcher.run(self._interrupts)
                self._interrupts = Interrupts()
                time.sleep(0.2)
        except BaseException as error:
            self._fault = f"{type(error).__name__}: {error}"
            raise

    def _measure(self) -> None:
        """Keep the number of attempts at once to what the cluster has."""
        while True:
            time.sleep(_LOOK_SECONDS)
            with self._lock:
                left = [ticket for name, ticket in self._tickets.items() if name not in self._ends]
                if left and self._dispatcher is not None:
                    self._dispatcher.slots = self._slots(left)
                for name, attempt in self._attempts.items():
                    if attempt.choosy and not attempt.heard and not self._elsewhere(name):
                        ray.cancel(attempt.ref)  # the nodes that it waits for are gone; the next takes any

    def _slots(self, left: Sequence[Ticket]) -> int:
        """Attempts at once: as many as all nodes carry of the smallest, and a few that wait."""
        smallest = min(map(demand_of, left), key=lambda one: (one.gpus, one.cpus, one.gigabytes))
        return _AHEAD + sum(smallest.fitting(node["Resources"]) for node in ray.nodes() if node["Alive"])

    def _start(self, ticket: Ticket, hear: Hear) -> _Attempt:
        demand = demand_of(ticket)
        with self._lock:
            elsewhere = self._elsewhere(ticket.name)
            self._number += 1
            attempt = self._attempts[ticket.name] = _Attempt(self._number, hear)
            attempt.choosy = bool(elsewhere)
            task = ray.remote(keep).options(name=f"run {ticket.name}", max_retries=0, **demand.options(), **elsewhere)
            secret = self._secret if isinstance(ticket, RunTicket) and ticket.depot is not None else ()
            given = (ticket.model_dump_json(indent=1), str(ticket.place), self._worker, self._variables, secret)
            attempt.ref = task.remote(self._name, ticket.name, attempt.number, *given)
        attempt.ref.future().add_done_callback(attempt.ended)
        return attempt

    def _elsewhere(self, name: str) -> dict[str, Any]:
        """Options that keep an attempt from nodes where earlier ones lacked something, while others have room."""
        last, avoided = self._attempts.get(name), self._avoided.setdefault(name, set())
        if last is not None and last.code == _LACKING and last.node:
            avoided.add(last.node)
        demand = demand_of(self._tickets[name])
        roomy = {node["NodeID"] for node in ray.nodes() if node["Alive"] and demand.fitting(node["Resources"])}
        if not avoided or not roomy - avoided:
            return {}
        return {"label_selector": {"ray.io/node-id": f"!in({','.join(sorted(avoided))})"}}

    def _tell(self, name: str, event: Mapping[str, Any]) -> None:
        with self._lock:
            if event["event"] in _LASTING:
                self._note([{"name": name, "event": event}])
            self._keep(name, event)

    def _keep(self, name: str, event: Mapping[str, Any]) -> None:
        """Keep the newest event of each kind, and every warning, score and checkpoint."""
        kind = str(event["event"])
        if kind == "attempt":
            self._ended_so_far[name] = Attempts(event["furthest"], event["in_vain"])
        if kind in ("warning", "scores", "checkpoint"):
            kind += f" {event.get('edits')} {event.get('message')}"
        self._version += 1
        self._rows.setdefault(name, {})[kind] = (self._version, event)

    def _ended(self, name: str, end: RunEnd) -> None:
        with self._lock:
            self._version += 1
            self._ends[name] = (self._version, end)
            self._attempts.pop(name, None)
            self._avoided.pop(name, None)
            self._note([{"name": name, "end": asdict(end)}])
        if end.verdict == "done":
            forget(self._tickets[name])
