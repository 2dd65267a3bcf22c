"""The run folders of a home, found and summed up for a person."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palimpsest.harness.errors import ConfigError, RunBusy, UsageError, unknown_name
from palimpsest.harness.runs import layout
from palimpsest.harness.runs.journal import read_events
from palimpsest.harness.runs.reading import read_object, read_state
from palimpsest.harness.system.locks import Held, locked


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Summary of a run folder: its run, and how far that got."""

    run_id: str
    """Name of the folder."""
    folder: Path
    spec: Mapping[str, Any] | None
    """The spec as stored; None when it cannot be read."""
    status: str
    """``complete``, ``collapsed``, ``failed``, ``partial``, or ``unreadable``."""
    edits_done: int
    """As `RunState.edits`."""
    edits_planned: int | None
    started_at: str | None
    updated_at: str | None
    reason: str | None = None
    """Reason why a run collapsed or failed, or why the folder is unreadable."""

    def name_in_spec(self, part: str) -> str | None:
        """Name of the ``model``, ``editor`` or ``task``; None when the spec is unreadable."""
        entry = (self.spec or {}).get(part)
        return str(entry["name"]) if isinstance(entry, Mapping) and "name" in entry else None


def list_runs(home: Path) -> list[RunSummary]:
    """Every run folder of a home, the newest last."""
    folders = [path.parent for path in (home / layout.RUNS).glob(f"*/{layout.SPEC}")]
    return sorted(map(summarise, folders), key=lambda run: (run.started_at or "", run.run_id))


def find_run(home: Path, name: str) -> Path:
    """The run folder whose name begins with ``name``, or the folder ``name`` itself.

    Raises:
        UsageError: None or several begin with it.
    """
    if (Path(name) / layout.SPEC).is_file():
        return Path(name)
    folders = {path.parent.name: path.parent for path in (home / layout.RUNS).glob(f"*/{layout.SPEC}")}
    if name in folders:
        return folders[name]
    matching = sorted(folder for folder in folders if name and folder.startswith(name))
    if len(matching) > 1:
        raise UsageError(f"{name!r} begins the names of {len(matching)} runs: {', '.join(matching)}. Give more of it.")
    if matching:
        return folders[matching[0]]
    if not folders:
        raise UsageError(f"There are no runs in {home / layout.RUNS}. Begin one with: palimpsest run --suite smoke")
    raise unknown_name("Run", name, folders, "palimpsest list runs")


def summarise(folder: Path) -> RunSummary:
    """Summary of one run folder, from its spec, journal and result."""
    try:
        spec = read_object(folder / layout.SPEC)
        planned = int(spec["schedule"]["edits"])
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        return RunSummary(folder.name, folder, None, "unreadable", 0, None, None, None, f"{layout.SPEC}: {error}")
    state = read_state(folder, planned)
    times = [str(event["time"]) for event in read_events(folder / layout.JOURNAL) if "time" in event]
    first = times[0] if times else None
    last = times[-1] if times else None
    return RunSummary(folder.name, folder, spec, state.status, state.edits, planned, first, last, state.reason)


def removed_saves(folder: Path) -> bool:
    """Tell if a run's saves went when it was over, as ``--keep none`` asks, and none has come since."""
    there = [path for path in (folder / layout.SAVES).glob("*") if path.name.isdecimal()]
    return not there and any(event["event"] == "saves_removed" for event in read_events(folder / layout.JOURNAL))


def move_aside(home: Path, run: str) -> Path | None:
    """Make room for a fresh start: the run's folder goes to ``<home>/replaced``; its new place, or None.

    Raises:
        RunBusy: Another process works on it.
    """
    folder = home / layout.RUNS / run
    if not folder.exists():
        return None
    try:
        with locked(folder / layout.LOCK):
            place = home / "replaced" / f"{run}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}"
            place.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(place)
    except Held as held:
        raise RunBusy(f"Run {run} is being worked on by another process ({held}); it cannot begin again.") from held
    (place / f"{layout.LOCK}.holder").unlink(missing_ok=True)
    return place
