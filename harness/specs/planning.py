"""From a suite to its runs: every name resolved, every config complete, every problem told at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from pydantic import ValidationError

from palimpsest.harness.errors import ConfigError, EditorError, MissingResource, PalimpsestError
from palimpsest.harness.specs.cases import EditTask
from palimpsest.harness.specs.model_entry import ModelEntry
from palimpsest.harness.specs.run_spec import AbilityRef, EditorRef, ModelRef, RunSpec, Schedule, TaskRef
from palimpsest.harness.specs.suite import EditorChoice, Suite

T = TypeVar("T")
Place = Callable[[Sequence[str | int]], str]


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run's identity, and where its model and data are on this machine."""

    spec: RunSpec
    model: ModelEntry
    """The spec's model; with its folder, where its files are here."""
    task: EditTask = field(repr=False)
    source: str = ""
    """Name that the task was found by, where that is more than its name: with the file of its data."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """Resolver of names to content; `palimpsest.cli.wiring.installed_catalog` is the real one."""

    model: Callable[[str], tuple[ModelRef, ModelEntry]]
    task: Callable[[str], EditTask]
    editor: Callable[[str, str, Mapping[str, Any]], EditorRef]
    """(editor, model name, values that differ from the preset) → the complete reference."""
    abilities: Callable[[Sequence[str], int | None], tuple[AbilityRef, ...]]


class _Problems:
    """Errors collected while names are resolved, so that all are told together."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._errors: list[PalimpsestError] = []

    def of(self, path: Sequence[str | int], call: Callable[[], T]) -> T | None:
        """The result of ``call``; when it fails, None, and the error is kept with the place of its field."""
        try:
            return call()
        except PalimpsestError as error:
            self._errors.append(type(error)(f"{self._place(path)}: {error}"))
            return None

    def tell(self) -> None:
        """Raise what was collected: a lone error as it is, several as one of their common kind."""
        if len(self._errors) == 1:
            raise self._errors[0]
        if self._errors:
            kind = MissingResource if all(error.exit_code == 4 for error in self._errors) else ConfigError
            raise kind("\n".join(dict.fromkeys(map(str, self._errors))))


def plan(
    suite: Suite,
    catalog: Catalog,
    *,
    place: Place,
    statistics: str | None = None,
    unusable: dict[str, str] | None = None,
) -> list[PlannedRun]:
    """Every run of a suite: models × tasks × seeds × editors, editors innermost so that they share a loaded model.

    Args:
        suite: What to run.
        catalog: How names become content.
        place: Says, for messages, where a field of the suite was written.
        statistics: Hash of the statistics that the runs use in place of each model's own.
        unusable: Receives the editors that cannot be imported, with the reason; their runs are left out. None: such
            an editor is a problem of the whole suite.

    Raises:
        PalimpsestError: A name is not known, a config does not fit, or the data have too few cases; lists all.
    """
    problems = _Problems(place)
    models = [(s, problems.of(("models", i), partial(catalog.model, s))) for i, s in enumerate(suite.models)]
    tasks = [problems.of(("tasks", i), partial(_task, catalog, s, suite)) for i, s in enumerate(suite.tasks)]
    abilities = problems.of(("abilities",), lambda: catalog.abilities(suite.abilities.tasks, suite.abilities.limit))
    sizes = [(i, choice.batch_size) for i, choice in enumerate(suite.editors)]
    known = [(source, *model) for source, model in models if model is not None]
    editors = {
        (source, i): problems.of(("editors", i), partial(_editor, catalog, choice, model.name, unusable))
        for source, model, _ in known
        for i, choice in enumerate(suite.editors)
    }
    schedules = [problems.of(("editors", i), partial(_schedule, suite, size)) for i, size in sizes]
    problems.tell()
    runs = []
    for source, model, entry in known:
        for name, task, reference in filter(None, tasks):
            for seed in suite.seeds:
                for i, schedule in enumerate(schedules):
                    editor = editors[source, i]
                    if editor is not None and schedule is not None:
                        spec = RunSpec(
                            model=model,
                            editor=editor,
                            task=reference,
                            schedule=schedule,
                            scoring=suite.scoring.for_form(task.form),
                            abilities=abilities or (),
                            seed=seed,
                            statistics=statistics,
                        )
                        runs.append(PlannedRun(spec, entry, task, name))
    return runs


def _editor(catalog: Catalog, choice: EditorChoice, model: str, unusable: dict[str, str] | None) -> EditorRef | None:
    """The complete reference of an editor; None for one that cannot be imported, which is then in ``unusable``."""
    try:
        return catalog.editor(choice.name, model, choice.set)
    except EditorError as error:
        if unusable is None:
            raise
        unusable[choice.name] = str(error)
        return None


def _task(catalog: Catalog, name: str, suite: Suite) -> tuple[str, EditTask, TaskRef]:
    task = catalog.task(name)
    if len(task.cases) < suite.schedule.edits:
        raise ConfigError(
            f"task {task.name!r} has {len(task.cases)} cases, but the schedule asks for {suite.schedule.edits} edits. "
            "Ask for fewer edits."
        )
    order = task.order_hash if task.origin is not None else None
    skipped = task.origin.skipped if task.origin is not None else 0
    reference = TaskRef(
        name=task.name, form=task.form, content_hash=task.content_hash, order_hash=order, skipped=skipped
    )
    return name, task, reference


def _schedule(suite: Suite, batch_size: int | None) -> Schedule:
    """The suite's schedule, with an editor's own batch size."""
    if batch_size is None:
        return suite.schedule
    try:
        return Schedule(**{**suite.schedule.model_dump(), "batch_size": batch_size})
    except ValidationError as error:
        raise ConfigError(f"batch_size: {error.errors()[0]['msg'].removeprefix('Value error, ')}.") from error
