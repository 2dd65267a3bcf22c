"""The runs of a home that processes of their own work on, from run folders and from what the processes have told."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from palimpsest.cli.slurm_verdict import furthest, told
from palimpsest.harness.errors import ConfigError
from palimpsest.harness.fleet.ticket import FOLDER, RunTicket, read_ticket
from palimpsest.harness.runs import layout
from palimpsest.harness.runs.reading import ENDED, run_state


@dataclass(frozen=True, slots=True)
class Row:
    """One run."""

    run: str
    editor: str
    model: str
    task: str
    seed: int
    state: str
    """``pending`` or ``running`` and the like as Slurm says; else the state of the run's folder, or ``given up``."""
    edits: int
    """So many are made; those after the newest save would be made again."""
    edits_planned: int
    holder: str | None
    """Machine and process that say they work on it; of one that was killed, too."""
    reason: str | None


def rows(home: Path, queued: Mapping[str, str]) -> list[Row]:
    """A row for every ticket of a run in the home, by editor, model and task.

    Args:
        home: Folder of runs.
        queued: Names of tickets that Slurm has, with their states.
    """
    found = []
    for path in (home / FOLDER).glob("*.json"):
        with suppress(ConfigError):  # a ticket of another kind
            found.append(_row(home, read_ticket(path), queued))
    return sorted(found, key=lambda row: (row.editor, row.model, row.task, row.seed, row.run))


def _row(home: Path, ticket: RunTicket, queued: Mapping[str, str]) -> Row:
    spec = ticket.spec
    state = run_state(home, spec)
    events = told(home / FOLDER / f"{ticket.name}.lines")
    verdict = next((str(event.get("verdict")) for event in reversed(events) if event["event"] == "verdict"), "")
    message = next((str(event.get("message")) for event in reversed(events) if event["event"] == "error"), None)
    over = state.status in ENDED
    word = state.status if over else queued.get(ticket.name) or (verdict if verdict == "given up" else state.status)
    return Row(
        run=spec.id,
        editor=spec.editor.name,
        model=spec.model.name,
        task=spec.task.name,
        seed=spec.seed,
        state=word,
        edits=state.edits if over else max(state.edits, furthest(events)),
        edits_planned=spec.schedule.edits,
        holder=None if over else _holder(home / layout.RUNS / spec.id / f"{layout.LOCK}.holder"),
        reason=state.reason or (None if over else message),
    )


def _holder(path: Path) -> str | None:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").strip()[:500]
    return None
