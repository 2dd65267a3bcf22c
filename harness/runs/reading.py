"""Reading run folders, for plans, forecasts, replays and the command line: no store, no model, no checksums.

Where a run stands is decided here and nowhere else: by ``result.json`` if it fits the spec, else by the newest save,
from which the run would go on. The store has a reader of its own, which trusts nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from palimpsest.harness.errors import ConfigError
from palimpsest.harness.runs import layout
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.harness.system.atomic_files import read_manifest
from palimpsest.harness.system.strict_json import JsonProblem, parse
from palimpsest.harness.system.validation_messages import describe, dotted

ENDED = ("complete", "collapsed")
"""Statuses of runs that ended by themselves: they are results, and nothing is left to do."""
ENDINGS = (*ENDED, "failed")


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
