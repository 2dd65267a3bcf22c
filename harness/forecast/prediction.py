"""Time, memory and disk of runs before they begin: from the costs of their parts and what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from palimpsest.harness.model.needs import SAVES_KEPT
from palimpsest.harness.runs.reading import ENDED, run_state
from palimpsest.harness.specs.windows import WINDOWS, window_size

if TYPE_CHECKING:
    from palimpsest.harness.specs.run_spec import RunSpec

CASE_BYTES = 700
"""Scores and answers on the disk, per scored case; measured on the pocket tasks."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of the parts of a run on this machine; 0 where not known."""

    seconds_batch: float = 0.0
    """One whole batch."""
    seconds_case: float = 0.0
    """Each scored case."""
    seconds_abilities: float = 0.0
    """One round of the ability tasks."""
    seconds_checkpoint: float = 0.0
    """One checkpoint, whatever the number of cases."""
    seconds_texts: float = 0.0
    """Sampling the texts of one case; 0 where none are."""
    seconds_start: float = 0.0
    """Loading the model and rendering the ability tasks."""
    seconds_prepare: float = 0.0
    """Preparing the editor with statistics that are there."""
    seconds_statistics: float = 0.0
    """Collecting the key statistics, where they are not there yet; estimated from a sample of tokens."""
    seconds_save: float = 0.0
    bytes_save: int = 0
    """Bytes of one save: edited weights and the editor's state after a batch."""
    peak_memory_mb: float = 0.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """Costs of a run from where it stands."""

    seconds: float
    parts: Mapping[str, float]
    """Seconds by part: start, statistics, prepare, edits, scoring, abilities, saves."""
    peak_memory_mb: float
    disk_bytes: int
    """Bytes of saves and scores, without what is shared between runs."""


def scored_cases(spec: RunSpec, edits: int) -> int:
    """Approximate number of cases scored at a checkpoint: those of all its windows together."""
    total = edits or spec.schedule.edits
    sample = spec.scoring.sample
    if sample is None or not edits:
        return min(total, sample or total)
    return min(total, sum(min(window_size(window, edits), sample) for window in WINDOWS))


def predict_run(home: Path, spec: RunSpec, costs: Costs, *, pristine_is_there: bool) -> Prediction:
    """Predict the rest of a run, from where it stands in ``home``.

    ``costs`` are those of its editor, model and task on this machine. ``pristine_is_there``: the unedited model is
    scored already, by this or another run.
    """
    state = run_state(home, spec)
    if state.status in ENDED:
        return Prediction(0.0, {}, 0.0, 0)
    points = [c for c in spec.schedule.checkpoints if c > state.edits or (not state.edits and not c)]
    measured = [c for c in points if c or not pristine_is_there]
    wanted = spec.scoring.generation.cases
    batches = -(-(spec.schedule.edits - state.edits) // spec.schedule.batch_size)
    parts = {
        "start": costs.seconds_start,
        "statistics": costs.seconds_statistics,
        "prepare": costs.seconds_prepare,
        "edits": batches * costs.seconds_batch,
        "scoring": sum(costs.seconds_checkpoint + costs.seconds_case * scored_cases(spec, c) for c in measured),
        "texts": sum(costs.seconds_texts * min(wanted, c or spec.schedule.edits) for c in measured),
        "abilities": len(measured) * costs.seconds_abilities,
        "saves": sum(1 for c in points if c) * costs.seconds_save,
    }
    scores = sum(CASE_BYTES * scored_cases(spec, c) for c in spec.schedule.checkpoints)
    disk = SAVES_KEPT * costs.bytes_save + scores
    return Prediction(sum(parts.values()), parts, costs.peak_memory_mb, disk)


def shares_pristine(spec: RunSpec, earlier: Sequence[RunSpec]) -> bool:
    """Tell if a run before this one scores the same unedited model on the same cases and abilities."""

    def asked(one: RunSpec) -> tuple[object, ...]:
        order = one.seed if one.schedule.order_seed == "run" else one.schedule.order_seed
        return one.model, one.task, one.schedule.edits, order, one.scoring, one.abilities

    return any(asked(spec) == asked(other) for other in earlier)
