"""The edited model of a run at any batch boundary: from the newest good save before it, the batches after it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from palimpsest.harness.checkpoint import Save, Saves
from palimpsest.harness.editing import Editing
from palimpsest.harness.errors import ConfigError, RunFailed, UsageError
from palimpsest.harness.journal import read_events
from palimpsest.harness.past import Past
from palimpsest.harness.schedule import batches, boundaries

if TYPE_CHECKING:
    from palimpsest.harness.editor import Editor
    from palimpsest.harness.model import EditableModel
    from palimpsest.harness.requests import Case
    from palimpsest.harness.spec import RunSpec


def newest_good_save(run: Path, spec: RunSpec, at_most: int) -> Save | None:
    """The newest whole save of a run at no more than ``at_most`` edits; damaged ones stay where they are."""
    saves = Saves(run / "checkpoints", spec.id)
    good = (n for n in reversed(saves.positions()) if n <= at_most and not saves.problems(n))
    edits = next(good, None)
    return None if edits is None else Save(edits, run / "checkpoints" / f"{edits:06d}")


def check_position(spec: RunSpec, edits: int) -> None:
    """Check that the run stands at ``edits`` at some time.

    Raises:
        UsageError: It is inside a batch or beyond the end; names the nearest numbers that will do.
    """
    possible = boundaries(spec.schedule)
    if edits not in possible:
        near = sorted(sorted(possible, key=lambda n: abs(n - edits))[:2])
        raise UsageError(
            f"--edits {edits}: run {spec.id} makes {spec.schedule.edits} edits in batches of "
            f"{spec.schedule.batch_size}. Near are {' and '.join(map(str, near))}."
        )


def replay(
    run: Path,
    spec: RunSpec,
    cases: Sequence[Case],
    edits: int,
    *,
    model: EditableModel,
    make_editor: Callable[[], Editor],
) -> Editing:
    """Edit ``model`` as the run did, up to ``edits``.

    Args:
        run: The run's folder; it is only read.
        spec: The run's spec.
        cases: The cases of the schedule, in edit order.
        edits: A batch boundary.
        model: Pristine, or with edits that can be undone.
        make_editor: Makes the run's editor.

    Raises:
        UsageError: ``edits`` is no batch boundary.
        RunFailed: A batch reports other numbers than it did in the run, so the result would not be the run's model.
        EditorError: The editor fails, as it did in the run; or the model collapses.
    """
    check_position(spec, edits)
    editing = Editing(model, make_editor, spec.editor, spec.seed)
    past, done = Past(read_events(run / "events.jsonl")), 0
    save = newest_good_save(run, spec, edits)
    if save is not None:
        editing.load(*Saves(run / "checkpoints", spec.id).read(save))
        done = save.edits
    for batch in batches(spec.schedule):
        if done <= batch.start < edits:
            report, _ = editing.edit(batch.number, [case.request for case in cases[batch.start : batch.stop]])
            unlike = past.unlike_batch(batch.number, report)
            if unlike:
                raise RunFailed(f"{unlike[0]} The model at {edits} edits cannot be made again here.")
    return editing


def replay_run(home: Path, spec: RunSpec, edits: int, *, model_source: str | None = None) -> Editing:
    """`replay` with everything found by its name in the spec.

    Args:
        home: Folder of runs and caches.
        spec: Of a run in that home.
        edits: A batch boundary.
        model_source: Folder or hub id of the unedited model; None: the name in the spec.

    Raises:
        ConfigError: Model or task are not those of the run.
        PalimpsestError: They are not to be had; or as `replay`.
    """
    from palimpsest.harness.loading import load
    from palimpsest.harness.registry import build_editor
    from palimpsest.harness.schedule import order
    from palimpsest.tasks.registry import load_task

    check_position(spec, edits)
    task = load_task(spec.task.name)
    if task.content_hash != spec.task.content_hash:
        raise ConfigError(f"Task {task.name!r} has changed since run {spec.id}; its edits cannot be done again.")
    loaded = load(model_source or spec.model.name, spec.model.fingerprint, home)
    return replay(
        home / "runs" / spec.id,
        spec,
        [task.cases[index] for index in order(len(task.cases), spec.schedule, spec.seed)],
        edits,
        model=loaded.model,
        make_editor=lambda: build_editor(spec.editor.name, spec.editor.config),
    )
