"""Reading run folders, for `palimpsest show`, plans, forecasts and replays: no store, no model, no checksums.

Where a run stands is decided here and nowhere else: by ``result.json`` if it fits the spec, else by the newest save,
from which the run would go on. The store has a reader of its own, which trusts nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from palimpsest.harness.errors import ConfigError, UsageError, unknown_name
from palimpsest.harness.runs import layout
from palimpsest.harness.runs.journal import read_events
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.harness.system.atomic_files import read_manifest
from palimpsest.harness.system.strict_json import JsonProblem, parse
from palimpsest.harness.system.validation_messages import describe, dotted

ENDINGS = ("complete", "collapsed", "failed")


@dataclass(frozen=True, slots=True)
class Ending:
    """Ending of a run, as ``result.json`` says."""

    status: str
    """One of `ENDINGS`."""
    edits: int
    """Last good number of edits."""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RunState:
    """State of a run."""

    status: str
    """``missing``, ``partial``, ``complete``, ``collapsed`` or ``failed``."""
    edits: int
    """Edits of the ending, else of the newest save: from there the run goes on."""
    reason: str | None = None

    def __str__(self) -> str:
        """``done``, ``missing``, or the status with the number of edits."""
        if self.status in ("missing", "complete"):
            return {"missing": "missing", "complete": "done"}[self.status]
        return f"{self.status} at {self.edits}"


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


def read_ending(path: Path, planned: int) -> Ending | None:
    """The ending in a ``result.json``; None if it cannot be read, makes no sense, or does not fit the schedule.

    A run is complete with exactly as many edits as are ``planned``.
    """
    try:
        value = json.loads(path.read_bytes())
        ending = Ending(value["status"], value["edits"], value["reason"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if ending.status not in ENDINGS or type(ending.edits) is not int or not 0 <= ending.edits <= planned:
        return None
    if ending.reason is not None and not isinstance(ending.reason, str):
        return None
    return ending if (ending.status == "complete") == (ending.edits == planned) else None


def read_state(folder: Path, planned: int) -> RunState:
    """State of the run in ``folder``, which may be missing; ``planned`` are the edits in its schedule."""
    ending = read_ending(folder / layout.RESULT, planned)
    if ending is not None:
        return RunState(ending.status, ending.edits, ending.reason)
    if not (folder / layout.JOURNAL).exists() and not (folder / layout.SPEC).exists():
        return RunState("missing", 0)
    saves = [path for path in (folder / layout.SAVES).glob("*") if path.name.isdecimal() and read_manifest(path)]
    reason = "result.json is damaged; run makes it anew" if (folder / layout.RESULT).exists() else None
    return RunState("partial", max((int(path.name) for path in saves), default=0), reason)


def run_state(home: Path, spec: RunSpec) -> RunState:
    """State of the run of ``spec``."""
    return read_state(home / layout.RUNS / spec.id, spec.schedule.edits)


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


def read_spec(folder: Path) -> RunSpec:
    """The spec of a run, validated.

    Raises:
        ConfigError: It cannot be read, or is not a spec of this version.
    """
    try:
        return RunSpec.model_validate(read_object(folder / layout.SPEC))
    except ValidationError as error:
        raise ConfigError("\n".join(describe(error, RunSpec, partial(_place, folder / layout.SPEC)))) from error


def _place(path: Path, field: Sequence[str | int]) -> str:
    return f"{path}, {dotted(field)}"


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a run folder.

    Raises:
        ConfigError: It cannot be read, or holds something else.
    """
    try:
        value = parse(path.read_bytes())
    except (OSError, JsonProblem) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected a JSON object, got {type(value).__name__}.")
    return value
