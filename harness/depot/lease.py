"""The right to publish one run: taken, kept by beating, and lost to whoever takes it; the head says who has it.

The lease and what is published are one object, changed only by compare-and-swap. So who has lost the lease cannot
publish, whatever it believes. No two clocks are compared: an owner counts as dead when its head has not changed while
the taker has watched it for `TTL` seconds of its own clock.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from palimpsest.harness.depot.head import HEADS, Head, look
from palimpsest.harness.depot.store import Store, Unreachable
from palimpsest.harness.errors import RunBusy

TTL = 60.0
"""Seconds of silence after which an owner counts as dead. It beats in a quarter, and gives up after three quarters."""
_TRIES = 10


class Lease:
    """One process's right to publish one run."""

    def __init__(self, store: Store, run: str, *, ttl: float = TTL, time: Any = time) -> None:
        """Name the run; nothing is asked yet. ``time`` has ``monotonic`` and ``sleep``."""
        self.owner = f"{socket.gethostname()}:{os.getpid()} {secrets.token_hex(8)}"
        """Name of this process, which no other ever has."""
        self.head = Head(run=run, epoch=1, beat=1, owner=self.owner)
        """The newest head that is known to be there, once the lease is taken."""
        self.lost: Exception | None = None
        """Reason why the run must not go on here."""
        self._store = store
        self._ttl = ttl
        self._time = time
        self._lock = threading.Lock()
        self._tag: str | None = None
        self._reached = 0.0
        """Time at which the last swap that passed was asked for."""

    def take(self) -> None:
        """Become the owner. One that is there is watched for `TTL` seconds, or until it beats, which is a `RunBusy`."""
        watched: str | None = None
        since = 0.0
        while True:
            now = self._time.monotonic()
            head, tag = look(self._store, self.head.run)
            if head is not None and head.owner == self.owner:  # the answer to the swap was lost
                return self._know(head, tag, now)
            if head is not None and head.owner:
                if watched is None:
                    watched, since = tag, self._time.monotonic()
                if watched != tag:
                    raise self._taken_by(head)
                if now - since < self._ttl:
                    self._time.sleep(self._ttl / 4)
                    continue
            wanted = self.head if head is None else head.next(epoch=head.epoch + 1, owner=self.owner)
            new = self._put(wanted, tag)
            if new is not None:
                return self._know(wanted, new, now)
            watched = ""  # somebody was quicker, unless an answer was lost

    def swap(self, **changes: object) -> None:
        """Put the next head, with these changes, in the place of the one that is known; with none, it is a beat.

        Raises:
            RunBusy: Another process has taken the run over; the head is as that left it.
        """
        with self._lock:
            done = False
            while not done:
                began = self._time.monotonic()
                wanted = self.head.next(**changes)
                tag = self._put(wanted, self._tag)
                if tag is None:
                    wanted, tag = self._in_the_way(wanted)
                done = all(getattr(wanted, name) == value for name, value in changes.items())
                self._know(wanted, tag, began)

    def patiently(self, ask: Callable[[], object]) -> None:
        """Ask ten times, with longer and longer pauses, or until the lease may be another's."""
        for number in range(_TRIES):
            try:
                ask()
                return
            except Unreachable:
                if number + 1 == _TRIES or self._silent():
                    raise
                self._time.sleep(min(0.5 * 2**number, self._ttl / 8))

    @contextmanager
    def beating(self, stop: Callable[[], object]) -> Iterator[None]:
        """Beat in a thread. When the lease is lost, or the store is out of reach for too long, `stop` is called."""
        ended = threading.Event()

        def keep() -> None:
            pause = self._ttl / 4
            while not ended.wait(pause):
                pause = self._ttl / 4
                try:
                    self.swap()
                except Exception as error:
                    pause = self._ttl / 60
                    self.lost = self.lost or (error if self._silent() else None)
                    if self.lost is not None:
                        stop()
                        return

        thread = threading.Thread(target=keep, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _silent(self) -> bool:
        """Tell if so much time has passed since the store was reached that others may soon take the run over."""
        return bool(self._time.monotonic() - self._reached > 0.75 * self._ttl)

    def _in_the_way(self, wanted: Head) -> tuple[Head, str | None]:
        """The head that refused a swap, if it is ours: the answer to this one was lost, or to an earlier one."""
        head, tag = look(self._store, wanted.run)
        if head is None or head.epoch != wanted.epoch or head.owner not in (self.owner, wanted.owner):
            self.lost = self._taken_by(head)
            raise self.lost
        if head.beat <= self.head.beat:
            raise Unreachable(f"The depot {self._store.url} refuses to replace the head of run {wanted.run}.")
        return head, tag

    def _put(self, head: Head, tag: str | None) -> str | None:
        return self._store.put(f"{HEADS}/{head.run}.json", head.packed(), tag)

    def _know(self, head: Head, tag: str | None, asked: float) -> None:
        self.head, self._tag, self._reached = head, tag, asked

    def _taken_by(self, head: Head | None) -> RunBusy:
        who = head.owner.partition(" ")[0] if head else "nobody"
        return RunBusy(
            f"Run {self.head.run} in the depot {self._store.url} is being worked on by another process ({who}). Wait "
            "for it or stop it, then give the same command again."
        )
