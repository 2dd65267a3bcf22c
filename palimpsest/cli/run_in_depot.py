"""The work of one process on one run of a depot, from taking the run to giving it back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from palimpsest.harness.depot.caches import Caches
from palimpsest.harness.depot.head import look
from palimpsest.harness.depot.kept_run import KeptRun
from palimpsest.harness.depot.lease import TTL, Lease
from palimpsest.harness.depot.store import Store
from palimpsest.harness.errors import RunBusy
from palimpsest.harness.fleet.ticket import SHARED
from palimpsest.harness.runs import layout
from palimpsest.harness.runs.journal import Progress
from palimpsest.harness.runs.reading import read_state
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.harness.system.interrupts import Interrupts

_RARELY = 20
"""Between checkpoints, a save goes up once this many times as long has passed as the last publication took."""
_STATISTICS = "second-moments-"


class Publishing:
    """Hands a run's events on, and publishes the run at checkpoints, and at saves that are not too close together."""

    def __init__(self, publish: Callable[[], None], keep: Callable[[], None], lease: Lease, progress: Progress) -> None:
        """Put together what belongs together.

        Args:
            publish: Publishes the run as it is.
            keep: Keeps what was made for its model.
            lease: The right to publish.
            progress: Receives all events.
        """
        self._publish = publish
        self._keep = keep
        self._lease = lease
        self._progress = progress
        self._next = 0.0

    def tell(self, event: Mapping[str, Any]) -> None:
        """Hand an event on; raises as `KeptRun.publish`."""
        self._progress.tell(event)
        kind = event["event"]
        if kind in ("batch", "save", "checkpoint") and self._lease.lost is not None:
            raise self._lease.lost
        if kind in (SHARED, "checkpoint"):
            self._keep()
        if kind == "checkpoint" or (kind == "save" and time.monotonic() >= self._next):
            began = time.monotonic()
            self._publish()
            self._next = time.monotonic() + _RARELY * (time.monotonic() - began)


def work_in_depot(
    store: Store,
    home: Path,
    spec: RunSpec,
    progress: Progress,
    interrupts: Interrupts,
    work: Callable[[Progress], int],
    *,
    statistics: bool = True,
    ttl: float = TTL,
) -> int:
    """Work on a run that a depot keeps; the exit code.

    Args:
        store: The depot.
        home: A scratch home: what it holds of the run gives way to what the depot has, and is removed in the end.
        spec: The run.
        progress: Receives its events.
        interrupts: Signals to heed.
        work: Does or continues the run in the home, tells its events, and gives the exit code.
        statistics: Key statistics are needed, too.
        ttl: See `palimpsest.harness.depot.lease.TTL`.

    Raises:
        RunBusy: Another process works on the run, or has taken it over.
        Unreachable: The store does not answer. What has been published is kept.
    """
    head, _ = look(store, spec.id)
    if head is not None and head.is_over:
        progress.tell({"event": "ended", "status": head.status, "edits": head.edits, "reason": None})
        return 0
    folder = home / layout.RUNS / spec.id
    lease = Lease(store, spec.id, ttl=ttl)
    kept, caches = KeptRun(store, lease, folder), Caches(store, home / "models" / spec.model.fingerprint)

    def publish() -> None:
        kept.publish(read_state(folder, spec.schedule.edits))

    with interrupts.at_once():
        progress.tell({"event": "phase", "what": "taking the run from the depot"})
        lease.take()
    try:
        with lease.beating(_stop):
            with interrupts.at_once():
                for message in kept.fetch():
                    progress.tell({"event": "warning", "message": message})
                caches.fetch(lambda name: statistics or not name.startswith(_STATISTICS))
            try:
                code = work(Publishing(publish, caches.keep, lease, progress))
            finally:
                if not isinstance(lease.lost, RunBusy):
                    publish()
    finally:
        if not isinstance(lease.lost, RunBusy):
            kept.leave()
    if lease.lost is not None:
        raise lease.lost
    return code


def _stop() -> None:
    """Let this process save and end, as its keeper would."""
    os.kill(os.getpid(), signal.SIGTERM)
