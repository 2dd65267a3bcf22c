"""The scores of one run folder as `palimpsest run` and `palimpsest show` tell them, without a store and intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from palimpsest.harness.abilities.items import PERPLEXITY
from palimpsest.harness.errors import ConfigError
from palimpsest.harness.metrics.abilities_kept import abilities_kept
from palimpsest.harness.metrics.probes import SCORES, Outcomes, aggregate, case_table, main_score, nan_mean
from palimpsest.harness.runs import layout
from palimpsest.harness.runs.reading import read_object, read_state
from palimpsest.harness.specs.windows import WINDOWS
from palimpsest.harness.system.atomic_files import MANIFEST
from palimpsest.results.analysis.effective_edits import THRESHOLDS, course, edits_until, effective_edits, quality
from palimpsest.results.analysis.measures.portability import FurtherProbes
from palimpsest.results.analysis.measures.texts import TextMetrics
from palimpsest.results.reading.tables import degrees

Columns = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Held:
    """Edits that a run holds, over its checkpoints so far; see `palimpsest.results.analysis.effective_edits`."""

    effective_edits: float
    quality: float
    """h at the last scored checkpoint, or 0 after a collapse; percent."""
    until: Mapping[str, float | None]
    """Threshold of h, percent → edits until h falls under it; None: not yet."""
    abilities: bool
    """True if abilities take part."""


@dataclass(frozen=True, slots=True)
class LatestScores:
    """Aggregates of the last scored checkpoint, and what the run holds up to there."""

    edits: int
    metrics: Mapping[str, Mapping[str, float]]
    """Window → metric → value, as `palimpsest list metrics` defines them."""
    abilities: Mapping[str, float]
    """Ability task → percent right."""
    abilities_kept: float | None
    """Percent of the pristine model's abilities; None without a checkpoint at 0 edits or without abilities."""
    held: Held | None
    """None before the first checkpoint with edits, and where abilities were asked at some of them only."""


def scored_checkpoints(folder: Path) -> list[int]:
    """Numbers of edits whose scores are complete, ascending."""
    manifests = (folder / layout.SCORES).glob(f"*/{MANIFEST}")
    return sorted(int(path.parent.name) for path in manifests if path.parent.name.isdecimal())


def latest_scores(folder: Path) -> LatestScores | None:
    """Aggregates of a run's checkpoints, from their outcomes; None before the first one.

    Raises:
        ConfigError: A score file cannot be read.
    """
    scored = scored_checkpoints(folder)
    if not scored:
        return None
    spec = read_object(folder / layout.SPEC)
    form = str(spec["task"]["form"])
    tables = {edits: _columns(folder / layout.SCORES / layout.position(edits)) for edits in scored}
    further = FurtherProbes(_table(folder / layout.PROBES))
    metrics = {edits: _window_metrics(probes, form, further) for edits, (probes, _) in tables.items()}
    kept = {edits: _kept(items, tables[0][1]) if 0 in tables else None for edits, (_, items) in tables.items()}
    state = read_state(folder, int(spec["schedule"]["edits"]))
    return LatestScores(
        edits=scored[-1],
        metrics=_with_texts(folder, scored[-1], metrics[scored[-1]]),
        abilities={name: 100.0 * one.score for name, one in _ability_scores(tables[scored[-1]][1]).items()},
        abilities_kept=kept[scored[-1]],
        held=_held(metrics, kept, SCORES[main_score(form)], state.edits if state.status == "collapsed" else None),
    )


def _held(
    metrics: Mapping[int, Mapping[str, Mapping[str, float]]],
    kept: Mapping[int, float | None],
    parts: tuple[str, str, str],
    collapsed_at: int | None,
) -> Held | None:
    points = [edits for edits in metrics if edits > 0]
    if not points and collapsed_at is None:
        return None
    if not points:
        return Held(0.0, 0.0, {f"{100 * limit:.0f}": 0.0 for limit in THRESHOLDS}, True)
    missing = float("nan")
    unedited = metrics[0]["planned"][parts[2]] / 100 if 0 in metrics else missing
    abilities = [kept[edits] for edits in points]
    if len({one is None for one in abilities}) > 1:
        return None  # some points of h would be of three parts, and some of four
    efficacy, paraphrase, near = ([metrics[edits]["all"][part] / 100 for edits in points] for part in parts)
    share = np.array([missing if one is None else one / 100 for one in abilities])
    edits, curve = course(points, quality(efficacy, paraphrase, near, unedited, share), collapsed_at)
    until = {f"{100 * limit:.0f}": float(edits_until(edits, curve[None], limit)[0]) for limit in THRESHOLDS}
    return Held(
        effective_edits=float(effective_edits(edits, curve)),
        quality=100 * float(curve[-1]),
        until={limit: value if np.isfinite(value) else None for limit, value in until.items()},
        abilities=None not in abilities,
    )


def _columns(folder: Path) -> tuple[Columns, Columns]:
    """Columns of the outcomes of probes and of ability items."""
    tables = [_table(folder / name) for name in (layout.PROBES, layout.ABILITIES)]
    probes, abilities = ({name: table[name].to_numpy() for name in table.column_names} for table in tables)
    return probes, abilities | {"right": degrees(tables[1])}


def _table(path: Path) -> pa.Table:
    try:
        return layout.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"{path} cannot be read ({error}). Check it with: palimpsest store ingest") from error


def _window_metrics(probes: Columns, form: str, further: FurtherProbes) -> dict[str, dict[str, float]]:
    metrics: dict[str, dict[str, float]] = {}
    for window in (name for name in WINDOWS if f"window_{name}" in probes):
        inside = probes[f"window_{window}"].astype(bool)
        if inside.any():
            chosen = {name: column[inside] for name, column in probes.items()}
            table = case_table(Outcomes.from_columns(chosen), form)
            metrics[window] = aggregate(replace(table, values={**table.values, **further.values(chosen)}))
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


@dataclass(frozen=True, slots=True)
class _Task:
    score: float
    """Share of right items, or mean of their degrees."""
    chance: float
    items: int


def _ability_scores(items: Columns) -> dict[str, _Task]:
    """Ability tasks by name, without running text, of which no item is right or wrong."""
    names = sorted(set(items["ability"][items["metric"] != PERPLEXITY]))
    inside = {name: items["ability"] == name for name in names}
    return {
        n: _Task(float(items["right"][mask].mean()), float(items["chance"][mask][0]), int(mask.sum()))
        for n, mask in inside.items()
    }


def _kept(items: Columns, pristine: Columns) -> float | None:
    """Percent of the unedited model's abilities; None where no task counts."""
    now, then = _ability_scores(items), _ability_scores(pristine)
    names = [name for name in now if name in then]
    if not names:
        return None
    rows = [(now[n].score, then[n].score, then[n].chance, then[n].items) for n in names]
    kept = abilities_kept(*zip(*rows, strict=True))
    return None if np.isnan(kept) else kept
