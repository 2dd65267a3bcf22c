"""The steps of a run carried out: an editor at work on a model, saves and scores written as the plan says."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from palimpsest.harness.diagnostics.tracker import Tracker
from palimpsest.harness.errors import EditorError, UsageError
from palimpsest.harness.metrics.diagnostic_definitions import Level
from palimpsest.harness.plugins.session import Editing, restore_pristine
from palimpsest.harness.runs.journal import RepeatCheck
from palimpsest.harness.runs.layout import DIAGNOSTICS
from palimpsest.harness.runs.score_files import Instruments, diagnostics_table, headline, measure
from palimpsest.harness.specs.schedule import Batch
from palimpsest.harness.specs.steps import Edit, Load, Save, Score, Step, Stop
from palimpsest.harness.system.interrupts import Interrupts, Stopped
from palimpsest.harness.system.memory import FreedMemory, PeakMemory

if TYPE_CHECKING:
    import pyarrow as pa

    from palimpsest.harness.editor import Editor
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.runs.folder import RunFolder
    from palimpsest.harness.runs.pristine_scores import PristineScores
    from palimpsest.harness.runs.saves import Save as SaveOnDisk
    from palimpsest.harness.specs.cases import Case


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Settings by which a run is carried out; nothing here changes a number."""

    save_seconds: float = 900.0
    """A save is made between checkpoints when the last one is older than this."""
    keep_checkpoints: Literal["newest", "all", "none"] = "newest"
    """``newest``: only the newest two saves stay on the disk; ``none``: as these, until the run is over."""
    limit: int | None = None
    """Stop, as partial, once this many edits are made; None: go on to the end."""
    diagnostics: Level = "cheap"
    """``full``: measure also what costs more; see `palimpsest.harness.metrics.diagnostic_definitions`."""
    command: Sequence[str] | None = None
    """Words to record as the command; None: this process's arguments."""
    any_machine: bool = False
    """Go on with a run that was begun on another kind of CPU or GPU."""
    work: str = ""
    """Origin of the work, for whoever finds the run busy."""


@dataclass(frozen=True, slots=True)
class RunInputs:
    """Inputs that a run works with."""

    model: EditableModel
    """As it was loaded, or with edits that its pristine copies can undo."""
    make_editor: Callable[[], Editor]
    instruments: Instruments
    pristine_scores: PristineScores | None = None
    """Scores of the unedited model that runs share; None: measure them for this run."""
    damaged: list[str] = field(default_factory=list)
    """Messages about shared scores that were damaged and are measured again."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Facts to record about how the model was loaded."""


@dataclass(frozen=True, slots=True)
class _AtWork:
    """An editor prepared on the pristine model, and what watches it."""

    editing: Editing
    tracker: Tracker


class Work:
    """Carries out the steps of one run, one after another."""

    def __init__(
        self,
        folder: RunFolder,
        cases: Sequence[Case],
        inputs: RunInputs,
        saves: Mapping[int, SaveOnDisk],
        settings: RunSettings,
        interrupts: Interrupts,
    ) -> None:
        """Take up a run, its folder locked and checked, its cases in edit order; nothing is changed yet.

        ``saves`` holds the whole save of every `Load` that will come, by its number of edits.
        """
        self._folder = folder
        self._journal = folder.journal
        self._spec = folder.spec
        self._cases = cases
        self._inputs = inputs
        self.saves = saves
        self._settings = settings
        self._interrupts = interrupts
        self._before = RepeatCheck(self._journal.events())
        self._freed = FreedMemory()
        self._memory = PeakMemory()
        self._current: _AtWork | None = None
        self._edits = 0
        self._saved = 0
        self._saved_at = time.monotonic()
        self._scored = 0

    def last_good(self) -> int:
        """Edits before a failure; a run that fails after its last edit is good up to its last scores."""
        return self._edits if self._edits < self._spec.schedule.edits else self._scored

    def do(self, step: Step) -> None:
        """Carry out one step.

        Raises:
            ModelCollapsed: Something is no longer a finite number.
            EditorError: The editor failed.
            Stopped: A signal came, or the limit is reached; everything before is saved.
            MissingResource: The environment lacks something.
        """
        match step:
            case Load(edits, towards):
                self._load(edits, towards)
            case Edit(batch):
                self._stop_if_asked()
                self._edit(batch)
                if time.monotonic() - self._saved_at > self._settings.save_seconds:
                    self._save()
            case Save():
                self._save()
            case Score(0):
                self._score_unedited()
            case Score(edits):
                self._score(edits)
            case Stop():
                raise Stopped(None)

    def _at_work(self) -> _AtWork:
        """The editor at work; prepared on the pristine model when it is first asked for."""
        if self._current is None:
            self._current = self._prepare()
        return self._current

    def _prepare(self) -> _AtWork:
        begin = time.perf_counter()
        with self._interrupts.at_once():
            self._journal.tell("phase", what="preparing the editor")
            editing = Editing(self._inputs.model, self._inputs.make_editor, self._spec.editor, self._spec.seed)
            if not editing.written:
                require_weights(self._spec.editor.name, self._inputs.provenance.get("engine", "hf"))
            tracker = Tracker(editing.model, editing.written, editing.editor, self._settings.diagnostics)
        used = {"statistics": editing.model.resources.used} if editing.model.resources.used else {}
        seconds = round(time.perf_counter() - begin, 3)
        self._journal.warn(editing.model.resources.damaged)
        editing.model.resources.damaged.clear()
        self._journal.append("prepared", seconds=seconds, **self._inputs.provenance, **used)
        self._edits = 0
        self._saved = 0
        return _AtWork(editing, tracker)

    def _load(self, edits: int, towards: int) -> None:
        self._current = self._prepare()
        if edits:
            self._go_to(self.saves[edits])
        elif self._before.edits:
            self._journal.warn(
                [f"No good save up to {towards} edits is there: the run starts again from its first edit."]
            )

    def _go_to(self, save: SaveOnDisk) -> None:
        now = self._at_work()
        weights, state = self._folder.saves.read(save)
        now.editing.load(weights, state)
        now.tracker.load_state_dict(self._folder.saves.read_tracked(save))
        self._edits = save.edits
        self._saved = save.edits
        self._saved_at = time.monotonic()
        self._journal.append("run_resumed", edits=save.edits)
        self._prune()

    def _edit(self, batch: Batch) -> None:
        now = self._at_work()
        requests = [case.request for case in self._cases[batch.start : batch.stop]]
        now.tracker.before(batch)
        report, seconds = now.editing.edit(batch.number, requests)
        now.tracker.after(batch, requests, report.updates)
        self._edits = batch.stop
        self._journal.append(
            "batch",
            index=batch.number,
            edits=batch.stop,
            seconds_edit=round(seconds, 4),
            report={"seconds": report.seconds, "counters": report.counters, "values": report.values},
            peak_memory_mb=self._memory.megabytes(),
        )
        self._freed.give_back()
        self._journal.warn(self._before.batch(batch.number, report))

    def _save(self) -> None:
        """Write a save of the edits so far, unless there is one."""
        if self._saved == self._edits:
            return
        now = self._at_work()
        try:
            weights, state = now.editing.snapshot()
        except EditorError:
            self._edits = self._saved  # nothing after the last save can be trusted
            raise
        save = self._folder.saves.write(self._edits, weights, state, now.tracker.state_dict())
        self._journal.append("save", edits=save.edits, sha256=save.checksums)
        self._journal.warn(self._before.save(save.edits, save.checksums))
        self._saved = save.edits
        self._saved_at = time.monotonic()
        self._prune()

    def _prune(self) -> None:
        if self._settings.keep_checkpoints != "all":
            self._folder.saves.prune(wanted={self._saved, *(edits for edits in self.saves if edits > self._saved)})

    def _score_unedited(self) -> None:
        """Score the unedited model before any editor has seen it, or take over what another run measured."""
        restore_pristine(self._inputs.model)
        begin = time.perf_counter()
        shared = self._inputs.pristine_scores

        def waits() -> None:
            self._journal.tell("phase", what="waiting for the scores of the unedited model")

        with self._interrupts.at_once(), nullcontext() if shared is None else shared.alone(waits=waits):
            tables = None if shared is None else shared.find()
            seconds = {"seconds_scoring": time.perf_counter() - begin, "seconds_abilities": 0.0}
            if tables is None:
                self._journal.tell("phase", what="scoring the unedited model")
                tables, seconds = measure(self._spec, self._cases, 0, self._inputs.instruments)
                if shared is not None:
                    shared.keep(tables)
        self._journal.warn(self._inputs.damaged)
        self._inputs.damaged.clear()
        self._keep_scores(0, tables, seconds)

    def _score(self, edits: int) -> None:
        now = self._at_work()
        with self._interrupts.at_once():
            self._journal.tell("phase", what="scoring")
            with now.editing.evaluated():
                continuations = self._folder.continuations()
                tables, seconds = measure(self._spec, self._cases, edits, self._inputs.instruments, continuations)
                now.tracker.see_scored()
        self._keep_scores(edits, tables, seconds)

    def _keep_scores(self, edits: int, tables: Mapping[str, pa.Table], seconds: dict[str, float]) -> None:
        """Measure the diagnostics and write all tables of a checkpoint."""
        tracker = self._at_work().tracker
        with self._interrupts.at_once():
            rows = tracker.measure(batches=-(-edits // self._spec.schedule.batch_size))
        seconds["seconds_diagnostics"] = tracker.spent()
        tables = {**tables, DIAGNOSTICS: diagnostics_table(rows)}
        self._folder.write_scores(edits, tables)
        self._scored = edits
        self._journal.append("checkpoint", edits=edits, **{name: round(s, 3) for name, s in seconds.items()})
        self._journal.tell("scores", edits=edits, scores=headline(tables, self._spec.task.form))

    def _stop_if_asked(self) -> None:
        """Save and stop if a signal came."""
        if self._interrupts.requested:
            self._save()
            raise Stopped(self._interrupts.requested)


def require_weights(editor: str, engine: str) -> None:
    """Refuse an engine other than the model in memory for an editor that writes no weights.

    Raises:
        UsageError: The engine takes nothing but weights.
    """
    if engine != "hf":
        raise UsageError(
            f"Engine {engine}: editor {editor} writes no weights, and only weights can be handed over. Use --engine hf."
        )
