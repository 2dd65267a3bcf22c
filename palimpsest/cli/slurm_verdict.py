"""``python -m palimpsest.cli.slurm_verdict TICKET CODE FOLDER``: what a batch script does when its worker has ended.

It prints ``end CODE`` or ``requeue SECONDS``. The table is the same as for all ways of starting processes; the attempts
so far lie beside the ticket.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from palimpsest.cli.slurm_script import STOP
from palimpsest.harness.fleet.verdict import Attempts, Verdict
from palimpsest.harness.system.atomic_files import atomic_write_json

_PAUSE = 30
"""Seconds before a run is queued again that another process works on, or for which something is lacking."""


def told(lines: Path) -> list[Mapping[str, Any]]:
    """The events in a file of lines; what is no event is left out, a missing file has none."""
    events: list[Mapping[str, Any]] = []
    with suppress(OSError):
        for line in lines.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, RecursionError):
                event = json.loads(line)
                if isinstance(event, dict) and isinstance(event.get("event"), str):
                    events.append(event)
    return events


def furthest(events: Sequence[Mapping[str, Any]]) -> int:
    """Most edits that a worker has made."""
    made = [event.get("edits") for event in events if event["event"] != "started"]
    return max((edits for edits in made if isinstance(edits, int)), default=0)


def judged(ticket: Path, code: int, folder: Path) -> tuple[Verdict, str]:
    """The verdict on the worker of a ticket that has ended, recorded beside the ticket, and the script's next step.

    Args:
        ticket: The ticket's file.
        code: As a shell tells it: over 128, the signal that killed the worker, or that it has stopped at.
        folder: Of the submission.
    """
    events = told(ticket.with_suffix(".lines"))
    begun = max((place for place, event in enumerate(events) if event["event"] == "here"), default=0)
    kind = next((str(e.get("kind")) for e in reversed(events[begun:]) if e["event"] == "error"), "")
    record = ticket.with_suffix(".attempts")
    attempts = Attempts()
    with suppress(OSError, ValueError, TypeError):
        attempts = Attempts(**json.loads(record.read_bytes()))
    signal = 128 - code if code > 128 and code not in (130, 143) else code
    stopped = (folder / STOP).exists()
    verdict = attempts.judge(signal, edits=furthest(events[begun:]), kind=kind, asked_to_stop=stopped)
    atomic_write_json(record, asdict(attempts))
    with ticket.with_suffix(".lines").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"event": "verdict", "verdict": verdict}) + "\n")
    if verdict in ("again", "later") and not stopped:
        return verdict, f"requeue {_PAUSE if verdict == 'later' else 0}"
    return verdict, f"end {0 if verdict in ('done', 'stopped') else code}"


if __name__ == "__main__":
    print(judged(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))[1])
