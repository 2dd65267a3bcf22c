"""How far runs are, and how long they may take, from run folders alone; without loading a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from palimpsest.harness.runs.journal import read_events
from palimpsest.harness.runs.reading import run_state
from palimpsest.harness.specs.run_spec import RunSpec


@dataclass(frozen=True, slots=True)
class Estimate:
    """About how long the rest of a run takes."""

    seconds: float
    runs: int
    """Past runs of the same editor on the same model that it rests on."""


def predict(home: Path, spec: RunSpec) -> Estimate | None:
    """How long the rest of the run takes, from past runs of the same editor on the same model; None: unknown."""
    state = run_state(home, spec)
    if state.status in ("complete", "collapsed"):
        return Estimate(0.0, 1)
    per_edit, per_case, abilities, runs = _past(home, spec)
    if not per_edit:
        return None
    points = [c for c in spec.schedule.checkpoints if c > state.edits or not state.edits]
    scored = sum(min(c or spec.schedule.edits, spec.scoring.sample or spec.schedule.edits) for c in points)
    seconds = median(per_edit) * (spec.schedule.edits - state.edits)
    seconds += (median(per_case) if per_case else 0.0) * scored
    seconds += (median(abilities) if abilities and spec.abilities else 0.0) * len(points)
    return Estimate(seconds, runs)


def _past(home: Path, spec: RunSpec) -> tuple[list[float], list[float], list[float], int]:
    """Of all fitting runs: seconds per edit, per scored case, and per round of abilities; and how many fit."""
    per_edit: list[float] = []
    per_case: list[float] = []
    abilities: list[float] = []
    runs = 0
    for path in sorted((home / "runs").glob("*/spec.json")):
        try:
            other = RunSpec.model_validate_json(path.read_bytes())
        except (OSError, ValueError):
            continue
        if other.model.fingerprint != spec.model.fingerprint or other.editor.name != spec.editor.name:
            continue
        runs += 1
        for event in read_events(path.parent / "events.jsonl"):
            _collect(event, other, per_edit, per_case, abilities)
    return per_edit, per_case, abilities, runs


def _collect(
    event: Mapping[str, Any], spec: RunSpec, per_edit: list[float], per_case: list[float], abilities: list[float]
) -> None:
    edits = event.get("edits")
    if not isinstance(edits, int):
        return
    if event["event"] == "batch" and isinstance(event.get("seconds_edit"), int | float):
        size = edits % spec.schedule.batch_size or spec.schedule.batch_size
        per_edit.append(event["seconds_edit"] / size)
    elif event["event"] == "checkpoint" and edits:
        cases = min(edits, spec.scoring.sample or edits)
        if isinstance(event.get("seconds_scoring"), int | float):
            per_case.append(event["seconds_scoring"] / cases)
        if isinstance(event.get("seconds_abilities"), int | float):
            abilities.append(event["seconds_abilities"])
