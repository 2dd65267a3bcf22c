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

import pyarrow as pa
from pydantic import ValidationError

from palimpsest.harness.abilities.items import PERPLEXITY
from palimpsest.harness.errors import ConfigError, UsageError, unknown_name
from palimpsest.harness.metrics.probes import Outcomes, abilities_kept, aggregate, case_table, nan_mean
from palimpsest.harness.metrics.texts import TextMetrics
from palimpsest.harness.runs import layout
from palimpsest.harness.runs.journal import read_events
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.harness.specs.windows import WINDOWS
from palimpsest.harness.system.atomic_files import MANIFEST, read_manifest
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


@dataclass(frozen=True, slots=True)
class LatestScores:
    """Aggregates of the last scored checkpoint."""

    edits: int
    metrics: Mapping[str, Mapping[str, float]]
    """Window → metric → value, as `palimpsest list metrics` defines them."""
    abilities: Mapping[str, float]
    """Ability task → percent right."""
    abilities_kept: float | None
    """Percent of the pristine model's abilities; None without a checkpoint at 0 edits or without abilities."""


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
        spec = _object(folder / layout.SPEC)
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
        return RunSpec.model_validate(_object(folder / layout.SPEC))
    except ValidationError as error:
        raise ConfigError("\n".join(describe(error, RunSpec, partial(_place, folder / layout.SPEC)))) from error


def _place(path: Path, field: Sequence[str | int]) -> str:
    return f"{path}, {dotted(field)}"


def scored_checkpoints(folder: Path) -> list[int]:
    """Numbers of edits whose scores are complete, ascending."""
    manifests = (folder / layout.SCORES).glob(f"*/{MANIFEST}")
    return sorted(int(path.parent.name) for path in manifests if path.parent.name.isdecimal())


def latest_scores(folder: Path) -> LatestScores | None:
    """Aggregates of the last scored checkpoint of a run, from its outcomes; None before the first one.

    Raises:
        ConfigError: A score file cannot be read.
    """
    scored = scored_checkpoints(folder)
    if not scored:
        return None
    form = str(_object(folder / layout.SPEC)["task"]["form"])
    tables = {edits: _columns(folder / layout.SCORES / layout.position(edits)) for edits in {scored[0], scored[-1]}}
    probes, abilities = tables[scored[-1]]
    pristine = _ability_scores(tables[0][1]) if 0 in tables else {}
    return LatestScores(
        edits=scored[-1],
        metrics=_with_texts(folder, scored[-1], _window_metrics(probes, form)),
        abilities={name: 100.0 * score for name, (score, _) in _ability_scores(abilities).items()},
        abilities_kept=_kept(_ability_scores(abilities), pristine),
    )


def _object(path: Path) -> dict[str, Any]:
    try:
        value = parse(path.read_bytes())
    except (OSError, JsonProblem) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected a JSON object, got {type(value).__name__}.")
    return value


def _columns(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Columns of the outcomes of probes and of ability items."""
    tables = [_table(folder / name) for name in (layout.PROBES, layout.ABILITIES)]
    probes, abilities = ({name: table[name].to_numpy() for name in table.column_names} for table in tables)
    return probes, abilities


def _table(path: Path) -> pa.Table:
    try:
        return layout.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"{path} cannot be read ({error}). Check it with: palimpsest store ingest") from error


def _window_metrics(probes: Mapping[str, Any], form: str) -> dict[str, dict[str, float]]:
    metrics: dict[str, dict[str, float]] = {}
    for window in (name for name in WINDOWS if f"window_{name}" in probes):
        inside = probes[f"window_{window}"].astype(bool)
        if inside.any():
            chosen = {name: column[inside] for name, column in probes.items()}
            metrics[window] = aggregate(case_table(Outcomes.from_columns(chosen), form))
    return metrics


def _with_texts(folder: Path, edits: int, metrics: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """The metrics with those of sampled texts, where there are any."""
    place = folder / layout.SCORES / layout.position(edits) / layout.TEXTS
    if not place.is_file():
        return metrics
    cases, probes, texts = (_table(path) for path in (folder / layout.CASES, folder / layout.PROBES, place))
    found = {name: nan_mean(values) for name, values in TextMetrics(cases, probes).table(texts).values.items()}
    window = "all" if edits else "planned"
    return metrics | {window: metrics.get(window, {}) | found}


def _ability_scores(items: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Ability → (share right, chance); running text has no such share."""
    names = sorted(set(items["ability"][items["metric"] != PERPLEXITY]))
    inside = {name: items["ability"] == name for name in names}
    return {n: (float(items["correct"][inside[n]].mean()), float(items["chance"][inside[n]][0])) for n in names}


def _kept(now: Mapping[str, tuple[float, float]], pristine: Mapping[str, tuple[float, float]]) -> float | None:
    names = [name for name in now if name in pristine]
    if not names:
        return None
    chance = [now[name][1] for name in names]
    return abilities_kept([now[name][0] for name in names], [pristine[name][0] for name in names], chance)
