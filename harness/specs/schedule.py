"""In which order cases are edited, and in which batches."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from palimpsest.harness.errors import ConfigError
from palimpsest.harness.specs.run_spec import Schedule


class Batch(NamedTuple):
    """Batch ``number``: positions ``start`` to ``stop`` (exclusive) of the schedule, edited together."""

    number: int
    start: int
    stop: int


def order(n_cases: int, schedule: Schedule, run_seed: int) -> list[int]:
    """Case index at each position of the schedule.

    With a seed, cases are sorted by a hash of (seed, index): the same order on every machine and version, and a longer
    schedule begins with the shorter one. ``run_seed`` counts where the schedule says so.

    Raises:
        ConfigError: The task has fewer cases than the schedule asks for.
    """
    if n_cases < schedule.edits:
        raise ConfigError(f"schedule.edits: the task has {n_cases} cases, the schedule asks for {schedule.edits}.")
    indices = list(range(n_cases))
    if schedule.order_seed is not None:
        seed = run_seed if schedule.order_seed == "run" else schedule.order_seed
        indices.sort(key=lambda index: hashlib.sha256(f"{seed} {index}".encode()).digest())
    return indices[: schedule.edits]


def batches(schedule: Schedule) -> list[Batch]:
    """All batches in order; the last may be smaller."""
    starts = range(0, schedule.edits, schedule.batch_size)
    return [Batch(i, start, min(start + schedule.batch_size, schedule.edits)) for i, start in enumerate(starts)]


def boundaries(schedule: Schedule) -> list[int]:
    """Numbers of edits at which a run can stand: 0 and the end of every batch."""
    return [0, *(batch.stop for batch in batches(schedule))]
