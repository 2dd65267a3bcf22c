"""Costs of earlier runs here: the same numbers as a calibration, from the journals of past runs alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from palimpsest.harness.forecast.prediction import Costs, scored_cases
from palimpsest.harness.runs import layout
from palimpsest.harness.runs.journal import read_events
from palimpsest.harness.specs.run_spec import RunSpec

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Seconds(NamedTuple):
    """Seconds of single events of past runs."""

    per_edit: list[float]
    per_case: list[float]
    abilities: list[float]


def past_costs(home: Path, spec: RunSpec) -> Costs | None:
    """Median costs of the parts of past runs of an editor on a model, from a folder of runs; None without any edit."""
    past = _Seconds([], [], [])
    for folder, other in _alike(home, spec):
        for event in read_events(folder / layout.JOURNAL):
            _collect(event, other, past)
    if not past.per_edit:
        return None
    return Costs(
        seconds_batch=median(past.per_edit) * spec.schedule.batch_size,
        seconds_case=median(past.per_case) if past.per_case else 0.0,
        seconds_abilities=median(past.abilities) if past.abilities and spec.abilities else 0.0,
    )


def _alike(home: Path, spec: RunSpec) -> Iterator[tuple[Path, RunSpec]]:
    """Folders and specs of all runs of the same editor on the same model."""
    for path in sorted((home / layout.RUNS).glob(f"*/{layout.SPEC}")):
        try:
            other = RunSpec.model_validate_json(path.read_bytes())
        except (OSError, ValueError):
            continue
        if other.model.fingerprint == spec.model.fingerprint and other.editor.name == spec.editor.name:
            yield path.parent, other


def _collect(event: Mapping[str, Any], spec: RunSpec, past: _Seconds) -> None:
    edits = event.get("edits")
    if not isinstance(edits, int) or not edits:
        return
    if event["event"] == "batch" and isinstance(event.get("seconds_edit"), int | float):
        size = edits % spec.schedule.batch_size or spec.schedule.batch_size
        past.per_edit.append(event["seconds_edit"] / size)
    elif event["event"] == "checkpoint":
        if isinstance(event.get("seconds_scoring"), int | float):
            past.per_case.append(event["seconds_scoring"] / scored_cases(spec, edits))
        if isinstance(event.get("seconds_abilities"), int | float):
            past.abilities.append(event["seconds_abilities"])
