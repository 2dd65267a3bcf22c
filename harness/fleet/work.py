"""The process of one ticket: it does the work, tells events as JSON lines, and stops when its keeper is gone.

Exit codes are those of ``palimpsest run``: 0 complete or collapsed, 1 failed, 2 wrong ticket, 3 partial or busy, 4
something is lacking, 130 and 143 stopped and saved.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from palimpsest.harness.errors import PalimpsestError, RunBusy
from palimpsest.harness.fleet.ticket import SHARED
from palimpsest.harness.model.catalogue import located, resolve
from palimpsest.harness.model.placement import Placement
from palimpsest.harness.runs.executor import Executor
from palimpsest.harness.runs.replay import check_statistics, task_of
from palimpsest.harness.runs.run import RunSettings
from palimpsest.harness.specs.planning import PlannedRun
from palimpsest.harness.system.interrupts import Interrupts, Stopped
from palimpsest.harness.system.trouble import trouble

if TYPE_CHECKING:
    from palimpsest.harness.fleet.ticket import RunTicket, Ticket
    from palimpsest.harness.runs.installation import Installation
    from palimpsest.harness.runs.journal import Progress
    from palimpsest.harness.statistics.texts import StatisticsSource

_CODES = {"complete": 0, "collapsed": 0, "failed": 1, "partial": 3}
_STOPPED = {"interrupted": 130, "terminated": 143}


class LineProgress:
    """Tells every event as one JSON line. A reader that is gone is no reason to stop writing scores and saves."""

    def __init__(self, stream: TextIO) -> None:
        """Choose where lines go.

        Args:
            stream: Takes the lines.
        """
        self._stream = stream

    def tell(self, event: Mapping[str, Any]) -> None:
        """Write one line."""
        with suppress(OSError, ValueError):
            self._stream.write(json.dumps(event) + "\n")
            self._stream.flush()


Work = Callable[[LineProgress, Interrupts], int]
"""Does the work of a ticket, tells how it goes, heeds signals, and gives the exit code."""


def work_on(ticket: Ticket, work: Work, *, lines: TextIO | None = None, keeper: int = 0) -> int:
    """Do the work of a ticket; the exit code.

    Args:
        ticket: What is worked on.
        work: Does it.
        lines: Takes the events; None: stdout.
        keeper: File descriptor of a pipe whose end means that nobody keeps this process any more; 0: stdin.
    """
    progress = LineProgress(lines or sys.stdout)
    progress.tell({"event": "here", "run": ticket.name, "process": os.getpid()})
    threading.Thread(target=_stop_at_end_of, args=(keeper,), daemon=True).start()
    try:
        with Interrupts() as interrupts:
            ticket.require_versions()
            return work(progress, interrupts)
    except PalimpsestError as error:
        kind = "busy" if isinstance(error, RunBusy) else "error"
        progress.tell({"event": "error", "kind": kind, "message": str(error)})
        return error.exit_code
    except Stopped as stop:
        return _STOPPED[stop.word or "terminated"]
    except KeyboardInterrupt:
        return _STOPPED["interrupted"]
    except Exception as error:
        lack = trouble(error)
        if lack is not None:
            progress.tell({"event": "error", "kind": "error", "message": str(lack)})
            return lack.exit_code
        traceback.print_exc()  # a fault of ours; the keeper tells of it, the log has the rest
        progress.tell({"event": "error", "kind": "bug", "message": f"{type(error).__name__}: {error}"})
        return 1


def do_run(
    ticket: RunTicket,
    installed: Installation,
    statistics: StatisticsSource | None,
    progress: Progress,
    interrupts: Interrupts,
) -> int:
    """Do or continue the ticket's run, tell its events, heed signals; the exit code.

    Key ``statistics``, if there are any, take the place of the model's own. Raises `PalimpsestError` where the run
    could not be started or resumed.
    """
    executor, planned = bench_of(ticket, installed, statistics, progress, interrupts)
    with suppress(PalimpsestError):  # the run tries for itself, and says what is lacking
        if executor.prepare(planned, dict(ticket.statistics)):
            progress.tell({"event": SHARED})
    outcome = executor.execute(planned)
    return _STOPPED[outcome.stopped] if outcome.stopped else _CODES[outcome.status]


def bench_of(
    ticket: RunTicket,
    installed: Installation,
    statistics: StatisticsSource | None,
    progress: Progress,
    interrupts: Interrupts,
) -> tuple[Executor, PlannedRun]:
    """The executor of the ticket's run, and that run, checked against what is here; raises as `do_run`."""
    check_statistics(ticket.spec, statistics.digest if statistics else None)
    means = ticket.means
    placement = Placement(means.device, means.device_map, means.offload, means.engine, means.threads)
    placement.check()
    settings = RunSettings(
        keep_checkpoints=ticket.course.keep,
        limit=ticket.course.limit,
        diagnostics=ticket.course.diagnostics,
        command=shlex.split(ticket.course.command),
        any_machine=ticket.course.any_machine,
        work=f"ticket {ticket.place}",
    )
    executor = Executor(
        Path(ticket.home),
        progress=progress,
        settings=settings,
        interrupts=interrupts,
        placement=placement,
        installed=installed,
        statistics=statistics.source if statistics else None,
    )
    task = task_of(ticket.spec, installed.tasks, ticket.task)
    return executor, PlannedRun(ticket.spec, located(resolve(ticket.model)), task)


def _stop_at_end_of(keeper: int) -> None:
    """Wait until the keeper's pipe ends, and stop in order then, as on SIGTERM.

    The descriptor is read as it is: a thread inside a buffered stdin lets Python end with an abort.
    """
    with suppress(OSError):
        while os.read(keeper, 1 << 12):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
