"""Aggregates of the last scored checkpoint of a run, for `palimpsest show` and the end of a run: no store, no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from palimpsest.harness.abilities.items import PERPLEXITY
from palimpsest.harness.errors import ConfigError
from palimpsest.harness.metrics.probes import Outcomes, abilities_kept, aggregate, case_table, nan_mean
from palimpsest.harness.runs import layout
from palimpsest.harness.runs.reading import read_object
from palimpsest.harness.specs.windows import WINDOWS
from palimpsest.harness.system.atomic_files import MANIFEST
from palimpsest.results.analysis.texts import TextMetrics


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
    form = str(read_object(folder / layout.SPEC)["task"]["form"])
    tables = {edits: _columns(folder / layout.SCORES / layout.position(edits)) for edits in {scored[0], scored[-1]}}
    probes, abilities = tables[scored[-1]]
    pristine = _ability_scores(tables[0][1]) if 0 in tables else {}
    return LatestScores(
        edits=scored[-1],
        metrics=_with_texts(folder, scored[-1], _window_metrics(probes, form)),
        abilities={name: 100.0 * score for name, (score, _) in _ability_scores(abilities).items()},
        abilities_kept=_kept(_ability_scores(abilities), pristine),
    )


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
