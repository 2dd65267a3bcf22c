"""A quick look into run folders, for lists and `palimpsest show`: no store, no model. The store checks everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from palimpsest.harness.errors import ConfigError, UsageError, unknown_name
from palimpsest.harness.runs.journal import read_events
from palimpsest.harness.runs.saves import Save, Saves
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.harness.system.strict_json import JsonProblem, parse
from palimpsest.harness.system.validation_messages import describe, dotted

if TYPE_CHECKING:
    from palimpsest.harness.specs.run_spec import RunSpec


from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


from palimpsest.harness.runs.folder import read_ending
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.harness.system.atomic_files import read_manifest

_SCORED = ("probes.parquet", "abilities.parquet")


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Which run a folder holds, and how far it got."""

    run_id: str
    """Name of the folder."""
    folder: Path
    spec: Mapping[str, Any] | None
    """The spec as stored; None when it cannot be read."""
    status: str
    """``complete``, ``collapsed``, ``failed``, ``partial``, or ``unreadable``."""
    edits_done: int
    """Edits up to the last checkpoint or save."""
    edits_planned: int | None
    started_at: str | None
    updated_at: str | None
    reason: str | None = None
    """Why a run collapsed or failed, or why the folder is unreadable."""

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
    folders = [path.parent for path in (home / "runs").glob("*/spec.json")]
    return sorted(map(summarise, folders), key=lambda run: (run.started_at or "", run.run_id))


def find_run(home: Path, name: str) -> Path:
    """The run folder whose name begins with ``name``, or the folder ``name`` itself.

    Raises:
        UsageError: None or several begin with it.
    """
    if (Path(name) / "spec.json").is_file():
        return Path(name)
    folders = {path.parent.name: path.parent for path in (home / "runs").glob("*/spec.json")}
    if name in folders:
        return folders[name]
    matching = sorted(folder for folder in folders if name and folder.startswith(name))
    if len(matching) > 1:
        raise UsageError(f"{name!r} begins the names of {len(matching)} runs: {', '.join(matching)}. Give more of it.")
    if matching:
        return folders[matching[0]]
    if not folders:
        raise UsageError(f"There are no runs in {home / 'runs'}. Begin one with: palimpsest run --suite smoke")
    raise unknown_name("Run", name, folders, "palimpsest list runs")


def summarise(folder: Path) -> RunSummary:
    """What the spec, the journal and the result of one run folder say."""
    try:
        spec = _object(folder / "spec.json")
        planned = int(spec["schedule"]["edits"])
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        return RunSummary(folder.name, folder, None, "unreadable", 0, None, None, None, f"spec.json: {error}")
    journal = read_events(folder / "events.jsonl")
    saved = [int(e.get("edits") or 0) for e in journal if e.get("event") in ("save", "checkpoint")]
    status, done, reason = "partial", max(saved, default=0), None
    if (folder / "result.json").is_file():
        try:
            result = _object(folder / "result.json")
            status, done, reason = str(result["status"]), int(result["edits"]), result.get("reason")
        except (ConfigError, KeyError, TypeError, ValueError) as error:
            status, reason = "unreadable", f"result.json: {error}"
    times = [str(event["time"]) for event in journal if "time" in event]
    first, last = (times[0], times[-1]) if times else (None, None)
    return RunSummary(folder.name, folder, spec, status, done, planned, first, last, reason)


def read_spec(folder: Path) -> RunSpec:
    """The spec of a run, validated.

    Raises:
        ConfigError: It cannot be read, or is not a spec of this version.
    """
    try:
        return RunSpec.model_validate(_object(folder / "spec.json"))
    except ValidationError as error:
        raise ConfigError("\n".join(describe(error, RunSpec, partial(_place, folder / "spec.json")))) from error


def _place(path: Path, field: Sequence[str | int]) -> str:
    return f"{path}, {dotted(field)}"


def scored_checkpoints(folder: Path) -> list[int]:
    """Numbers of edits whose scores are complete, ascending."""
    manifests = (folder / "scores").glob("*/manifest.json")
    return sorted(int(path.parent.name) for path in manifests if path.parent.name.isdecimal())


def latest_scores(folder: Path) -> LatestScores | None:
    """Aggregates of the last scored checkpoint of a run, from its outcomes; None before the first one.

    Raises:
        ConfigError: A score file cannot be read.
    """
    scored = scored_checkpoints(folder)
    if not scored:
        return None
    form = str(_object(folder / "spec.json")["task"]["form"])
    tables = {edits: _tables(folder / "scores" / f"{edits:06d}") for edits in {scored[0], scored[-1]}}
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


def _tables(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Columns of the outcomes of probes and of ability items."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = []
    for name in _SCORED:
        try:
            table = pq.ParquetFile(folder / name).read()
        except (OSError, pa.ArrowException) as error:
            raise ConfigError(
                f"{folder / name} cannot be read ({error}). Check it with: palimpsest store ingest"
            ) from error
        columns.append({column: table[column].to_numpy() for column in table.column_names})
    return columns[0], columns[1]


def _window_metrics(probes: Mapping[str, Any], form: str) -> dict[str, dict[str, float]]:
    from palimpsest.harness.metrics.probes import Outcomes, aggregate, case_table
    from palimpsest.harness.specs.windows import WINDOWS

    metrics: dict[str, dict[str, float]] = {}
    for window in (name for name in WINDOWS if f"window_{name}" in probes):
        inside = probes[f"window_{window}"].astype(bool)
        if inside.any():
            chosen = {name: column[inside] for name, column in probes.items()}
            metrics[window] = aggregate(case_table(Outcomes.from_columns(chosen), form))
    return metrics


def _with_texts(folder: Path, edits: int, metrics: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """The metrics with those of sampled texts, where there are any."""
    from palimpsest.harness.runs.score_files import TEXTS

    place = folder / "scores" / f"{edits:06d}" / TEXTS
    if not place.is_file():
        return metrics
    import pyarrow as pa
    import pyarrow.parquet as pq

    from palimpsest.harness.metrics.probes import nan_mean
    from palimpsest.harness.metrics.texts import TextMetrics

    try:
        paths = (folder / "cases.parquet", folder / "probes.parquet", place)
        cases, probes, texts = (pq.ParquetFile(path).read() for path in paths)
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"{place} cannot be read ({error}). Check it with: palimpsest store ingest") from error
    found = {name: nan_mean(values) for name, values in TextMetrics(cases, probes).table(texts).values.items()}
    window = "all" if edits else "planned"
    return metrics | {window: metrics.get(window, {}) | found}


def _ability_scores(items: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Ability → (share right, chance); running text has no such share."""
    from palimpsest.harness.abilities.items import PERPLEXITY

    names = sorted(set(items["ability"][items["metric"] != PERPLEXITY]))
    inside = {name: items["ability"] == name for name in names}
    return {n: (float(items["correct"][inside[n]].mean()), float(items["chance"][inside[n]][0])) for n in names}


def _kept(now: Mapping[str, tuple[float, float]], pristine: Mapping[str, tuple[float, float]]) -> float | None:
    from palimpsest.harness.metrics.probes import abilities_kept

    names = [name for name in now if name in pristine]
    if not names:
        return None
    chance = [now[name][1] for name in names]
    return abilities_kept([now[name][0] for name in names], [pristine[name][0] for name in names], chance)


def newest_good_save(run: Path, spec: RunSpec, at_most: int) -> Save | None:
    """The newest whole save of a run at no more than ``at_most`` edits; damaged ones stay where they are."""
    saves = Saves(run / "checkpoints", spec.id)
    good = (n for n in reversed(saves.positions()) if n <= at_most and not saves.problems(n))
    edits = next(good, None)
    return None if edits is None else Save(edits, run / "checkpoints" / f"{edits:06d}")


@dataclass(frozen=True, slots=True)
class RunState:
    """Where a run stands."""

    status: str
    """``missing``, ``partial``, ``complete``, ``collapsed`` or ``failed``."""
    edits: int
    """Edits of the newest save, or of the ending."""
    reason: str | None = None

    def __str__(self) -> str:
        """``done``, ``missing``, or the status with the number of edits."""
        if self.status in ("missing", "complete"):
            return {"missing": "missing", "complete": "done"}[self.status]
        return f"{self.status} at {self.edits}"


def run_state(home: Path, spec: RunSpec) -> RunState:
    """Where the run of ``spec`` stands; quick, checksums are not compared."""
    folder = home / "runs" / spec.id
    ending = read_ending(folder / "result.json")
    if ending is not None:
        return RunState(ending.status, ending.edits, ending.reason)
    if not (folder / "events.jsonl").exists() and not (folder / "spec.json").exists():
        return RunState("missing", 0)
    saves = [int(p.name) for p in (folder / "checkpoints").glob("*") if p.name.isdecimal() and read_manifest(p)]
    return RunState("partial", max(saves, default=0))
