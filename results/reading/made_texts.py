"""Texts of cases and probes that a bundle leaves out, since the task makes them: from the task that ships."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

import pyarrow as pa

from palimpsest.harness.errors import MissingResource, PalimpsestError
from palimpsest.harness.runs import layout
from palimpsest.harness.specs.cases import Case, EditTask
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
    task = shipped_task(spec.task.name)
    return task is not None and task.content_hash == spec.task.content_hash


@cache
def shipped_task(name: str) -> EditTask | None:
    """The edit task of this name, if its data ship, and the list of what is known of it where the name means one."""
    try:
        return load_task(name) if is_made_here(name) and ships(name) else None
    except MissingResource:  # the list that ships is of other data
        return None


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


def texts_of(task: str, schedule: Schedule, seed: int) -> tuple[pa.Table, pa.Table]:
    """The tables of cases and probes that a run of a task in a schedule has."""
    return _texts_at(task, tuple(order(len(_task(task).cases), schedule, seed)))


@lru_cache(maxsize=16)  # of the seeds of a suite: what only edits in other batches has the same
def _texts_at(task: str, places: tuple[int, ...]) -> tuple[pa.Table, pa.Table]:
    cases = _task(task).cases
    return tables_of([cases[place] for place in places])


def _task(name: str) -> EditTask:
    return shipped_task(name) or load_task(name)


def tables_of(cases: Sequence[Case]) -> tuple[pa.Table, pa.Table]:
    """The tables of cases and probes of these cases, in their order."""
    return (
        parse_table(layout.packed(layout.case_table(cases)), layout.CASE_COLUMNS),
        parse_table(layout.packed(layout.probe_table(cases)), layout.PROBE_COLUMNS),
    )
