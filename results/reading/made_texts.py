"""Texts of cases and probes that a bundle leaves out, since the task makes them: from the task that ships."""

from __future__ import annotations

from functools import lru_cache

import pyarrow as pa

from palimpsest.harness.errors import PalimpsestError
from palimpsest.harness.runs import layout
from palimpsest.harness.specs.run_spec import RunSpec, Schedule
from palimpsest.harness.specs.schedule import order
from palimpsest.results.reading.problems import Invalid
from palimpsest.results.reading.tables import parse_table
from palimpsest.tasks.known import ships
from palimpsest.tasks.registry import is_made_here, load_task

TEXT_FILES = (layout.CASES, layout.PROBES)
"""Files that a bundle of such a task need not have."""


def are_made_here(spec: RunSpec) -> bool:
    """True if the cases and probes of a run follow from what ships, by its task, schedule and seed."""
    name = spec.task.name
    return is_made_here(name) and ships(name) and load_task(name).content_hash == spec.task.content_hash


def made_texts(spec: RunSpec) -> tuple[pa.Table, pa.Table]:
    """The tables of cases and probes of a run, as its folder has them.

    Raises:
        Invalid: They do not follow from what ships.
    """
    if not are_made_here(spec):
        raise Invalid(
            f"{layout.CASES} is missing, and {spec.task.name} with the content {spec.task.content_hash[:12]} does not "
            "ship with this Palimpsest"
        )
    try:
        return texts_of(spec.task.name, spec.schedule, spec.seed)
    except PalimpsestError as error:
        raise Invalid(f"{layout.CASES} is missing, and cannot be made: {error}") from error


@lru_cache(maxsize=8)  # the runs of a track and seed have the same
def texts_of(task: str, schedule: Schedule, seed: int) -> tuple[pa.Table, pa.Table]:
    """The tables of cases and probes that a run of a task in a schedule has."""
    cases = load_task(task).cases
    chosen = [cases[index] for index in order(len(cases), schedule, seed)]
    return (
        parse_table(layout.packed(layout.case_table(chosen)), layout.CASE_COLUMNS),
        parse_table(layout.packed(layout.probe_table(chosen)), layout.PROBE_COLUMNS),
    )
