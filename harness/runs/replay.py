"""The edited model of a run at any batch boundary: from the newest good save before it, the batches after it again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from palimpsest.harness.errors import ConfigError, MissingResource, RunFailed, UsageError
from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.plugins.configuration import build_editor
from palimpsest.harness.plugins.session import Editing
from palimpsest.harness.runs import layout
from palimpsest.harness.runs.journal import RepeatCheck, read_events
from palimpsest.harness.runs.loaded_model import load
from palimpsest.harness.runs.reading import read_spec, read_state
from palimpsest.harness.runs.saves import Saves
from palimpsest.harness.specs.schedule import batches, boundaries, order

if TYPE_CHECKING:
    from palimpsest.harness.editor import Editor
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.runs.installation import Installation
    from palimpsest.harness.specs.cases import Case, EditTask, TaskFinder
    from palimpsest.harness.specs.run_spec import RunSpec
    from palimpsest.harness.statistics.texts import StatisticsSource


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
    """Edit ``model`` as the run did, up to ``edits``, a batch boundary; the run's folder is only read.

    The model is pristine, or has edits that can be undone; the cases are those of the schedule, in edit order.

    Raises:
        UsageError: ``edits`` is no batch boundary.
        RunFailed: A batch reports other numbers than it did in the run, so the result would not be the run's model.
        EditorError: The editor fails, as it did in the run; or the model collapses.
    """
    check_position(spec, edits)
    editing = Editing(model, make_editor, spec.editor, spec.seed)
    before = RepeatCheck(read_events(run / layout.JOURNAL))
    saves = Saves(run / layout.SAVES, spec.id)
    done = 0
    save, _ = saves.newest(at_most=edits)
    if save is not None:
        editing.load(*saves.read(save))
        done = save.edits
    for batch in batches(spec.schedule):
        if done <= batch.start < edits:
            report, _ = editing.edit(batch.number, [case.request for case in cases[batch.start : batch.stop]])
            warnings = before.batch(batch.number, report)
            if warnings:
                raise RunFailed(f"{warnings[0]} The model at {edits} edits cannot be made again here.")
    return editing


def task_of(spec: RunSpec, tasks: TaskFinder, name: str | None = None) -> EditTask:
    """The task of a run, found by ``name`` here; None: by the name in the spec.

    Raises:
        ConfigError: Its data have changed.
        PalimpsestError: They are not available.
    """
    task = tasks.load(name or spec.task.name, skip_bad=spec.task.skipped > 0)
    if task.content_hash != spec.task.content_hash:
        raise ConfigError(
            f"Task {task.name!r} is not that of run {spec.id}: its content differs, so the edits cannot be done again."
        )
    return task


def check_statistics(spec: RunSpec, found: str | None) -> None:
    """Check that key statistics come from where those of the run came from.

    ``found`` is the hash of what ``--stats-text`` names; None: it was not given.

    Raises:
        MissingResource: The run had a text of its own, which was not given.
        ConfigError: What was given is not what the run had.
    """
    if spec.statistics == found:
        return
    if found is None:
        raise MissingResource(
            f"Run {spec.id} took key statistics from a text of its own (SHA-256 {spec.statistics}). "
            "Give it with --stats-text PATH."
        )
    had = (
        f"a text with SHA-256 {spec.statistics}" if spec.statistics else "the model's own text: leave --stats-text out"
    )
    raise ConfigError(f"--stats-text: has SHA-256 {found}, but run {spec.id} took key statistics from {had}.")


def replay_run(
    home: Path,
    spec: RunSpec,
    edits: int,
    *,
    model_source: str | None = None,
    installed: Installation,
    statistics: StatisticsSource | None = None,
) -> Editing:
    """`replay` with everything found by its name in the spec, which is of a run in ``home``.

    ``model_source`` is a folder or hub id in place of the spec's name, ``statistics`` what ``--stats-text`` names.

    Raises:
        ConfigError: Model or task are not those of the run.
        PalimpsestError: They are not available; or as `replay`.
    """
    check_position(spec, edits)
    check_statistics(spec, statistics.digest if statistics else None)
    task = task_of(spec, installed.tasks)
    text = statistics.source if statistics else None
    entry = resolve(model_source or spec.model.name)
    loaded = load(entry, home, expected=spec.model.fingerprint, statistics=text, texts=installed.texts)
    return replay(
        home / layout.RUNS / spec.id,
        spec,
        task.ordered(order(len(task.cases), spec.schedule, spec.seed)),
        edits,
        model=loaded.model,
        make_editor=lambda: build_editor(spec.editor.name, spec.editor.config),
    )


def export_model(
    run: Path,
    edits: int,
    folder: Path,
    *,
    model_source: str | None = None,
    installed: Installation,
    statistics: StatisticsSource | None = None,
) -> list[str]:
    """Write the model of a run as it was after ``edits`` edits, with its tokenizer.

    Where the run keeps no good save there, the edits after the newest one before it are done again, as by `replay_run`.

    Args:
        run: The run's folder.
        edits: A batch boundary; 0: the pristine model.
        folder: Where the model goes; must not exist, or be empty.
        model_source: Folder or hub id of the unedited model; None: the name in the run's spec.
        installed: Finds tasks and statistics texts, should edits be done again.
        statistics: What ``--stats-text`` names; None: the model's own text.

    Returns:
        Names of the parameters that the editor may have changed.

    Raises:
        UsageError: ``folder`` is taken, or ``edits`` lies within a batch or beyond what the run has made.
        ConfigError: The model, the data or the statistics found are not those of the run.
        MissingResource: They are not here.
        RunFailed: Edits done again came out otherwise than in the run.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already. Choose a new or empty folder.")
    spec = read_spec(run)
    check_position(spec, edits)
    done = read_state(run, spec.schedule.edits).edits
    if edits > done:
        raise UsageError(f"Run {run.name} has made {done} edits so far; --edits can be at most that.")
    saves = Saves(run / layout.SAVES, spec.id)
    save, _ = saves.newest(at_most=edits)
    if edits and (save is None or save.edits != edits):
        editing = replay_run(
            run.parent.parent, spec, edits, model_source=model_source, installed=installed, statistics=statistics
        )
        model = editing.model
        written = list(editing.written)
    else:
        entry = resolve(model_source or spec.model.name)
        model = load(entry, run.parent.parent, expected=spec.model.fingerprint, texts=installed.texts).model
        weights = {} if save is None else saves.read(save)[0]
        model.write_weights(weights)
        written = sorted(weights)
    if edits and not written:
        raise UsageError(
            f"{spec.editor.name} writes no weights: what it learned is in its state beside the model, and cannot be "
            "exported as a model."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        partial.chmod(0o755)
        model.model.save_pretrained(partial)
        model.tokenizer.save_pretrained(partial)
        if folder.is_dir():
            folder.rmdir()
        partial.replace(folder)
    except OSError as error:
        raise MissingResource(f"{folder} cannot be written: {error}. Make room or choose another place.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return written
