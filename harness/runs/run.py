"""The run: edit, save, score, go on; from wherever the last good save is."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from palimpsest.harness.diagnostics.tracker import Tracker
from palimpsest.harness.errors import EditorError, MissingResource, ModelCollapsed
from palimpsest.harness.metrics.diagnostic_definitions import Level
from palimpsest.harness.plugins.guard import seed_everything
from palimpsest.harness.plugins.session import Editing, restore_pristine
from palimpsest.harness.runs.folder import Ending, RunFolder
from palimpsest.harness.runs.journal import Past
from palimpsest.harness.runs.score_files import DIAGNOSTICS, Instruments, diagnostics_file, headline, model_files
from palimpsest.harness.specs.schedule import Batch, batches
from palimpsest.harness.system.environment import environment_segment
from palimpsest.harness.system.interrupts import Interrupts, Stopped
from palimpsest.harness.system.memory import FreedMemory, PeakMemory

if TYPE_CHECKING:
    from palimpsest.harness.editor import Editor
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.runs.pristine_scores import PristineScores
    from palimpsest.harness.runs.progress import Progress
    from palimpsest.harness.runs.saves import Save
    from palimpsest.harness.specs.cases import Case
    from palimpsest.harness.specs.run_spec import RunSpec

__all__ = ["Run", "RunOutcome", "RunSettings", "Workbench", "seed_everything"]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a run is carried out; nothing here changes a number."""

    save_seconds: float = 900.0
    """A save is made between checkpoints when the last one is older than this."""
    keep_checkpoints: Literal["newest", "all"] = "newest"
    """``newest``: only the newest two saves stay on the disk."""
    limit: int | None = None
    """Stop, as partial, once this many edits are made; None: go on to the end."""
    diagnostics: Level = "cheap"
    """``full``: measure also what costs more; see `palimpsest.harness.metrics.diagnostic_definitions`."""
    command: Sequence[str] | None = None
    """What to record as the command; None: this process's arguments."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What became of a run."""

    spec: RunSpec
    status: str
    """``complete``, ``collapsed``, ``failed`` or ``partial``."""
    edits: int
    """Edits up to which everything is good and saved."""
    folder: Path
    reason: str | None = None
    stopped: str | None = None
    """``interrupted`` or ``terminated`` when a signal ended the run."""


@dataclass(frozen=True, slots=True)
class Workbench:
    """What a run works with."""

    model: EditableModel
    """As it was loaded, or with edits that its pristine copies can undo."""
    make_editor: Callable[[], Editor]
    instruments: Instruments
    pristine_scores: PristineScores | None = None
    """Scores of the unedited model that runs share; None: measure them for this run."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """What to record about how the model was loaded."""


class Run:
    """One run, from its last good save to its end. Made for one call of `execute`."""

    def __init__(
        self,
        spec: RunSpec,
        cases: Sequence[Case],
        home: Path,
        *,
        workbench: Callable[[], Workbench],
        progress: Progress,
        settings: RunSettings | None = None,
        interrupts: Interrupts | None = None,
    ) -> None:
        """Set up; nothing is read or written yet.

        Args:
            spec: What to run.
            cases: The cases of the schedule, in edit order.
            home: Folder of runs and caches.
            workbench: Called once there is something to do; loading a model may take long.
            progress: Is told how it goes.
            settings: How to carry it out.
            interrupts: Signals to heed; None: none.
        """
        self.spec, self.cases = spec, cases
        self.folder = RunFolder(home, spec)
        self._workbench = workbench
        self._progress = progress
        self._settings = settings or RunSettings()
        self._interrupts = interrupts or Interrupts()
        self._freed = FreedMemory()
        self._editing: Editing | None = None
        self._edits = self._saved = self._scored = 0

    def execute(self) -> RunOutcome:
        """Do what is left of the run. After its end, check the scores; a failed run is tried again from its last save.

        Raises:
            RunBusy: Another process works on this run.
            MissingResource: The environment lacks something, disk space for one; the same call continues.
        """
        with self.folder.locked():
            self.folder.check(self.cases)
            ending = self.folder.ending()
            if ending is not None and ending.status == "failed":
                ending = None
            pending = self.folder.unscored(ending.edits if ending else self.spec.schedule.edits)
            if ending is not None and not pending:
                self._warn(self.folder.warnings)
                return self._outcome(ending)
            self._past = Past(self.folder.events())
            segment = environment_segment(self._settings.command, self.spec.editor.distribution)
            segment["diagnostics"] = self._settings.diagnostics
            self.folder.journal.append("run_started", segment=self.folder.reopen(segment))
            self._warn(self.folder.warnings)
            try:
                return self._work(pending, ending or Ending("complete", self.spec.schedule.edits))
            except (Stopped, KeyboardInterrupt) as stop:
                return self._stop(getattr(stop, "word", "interrupted"))
            except Exception as error:
                self._progress.ended("partial", self._saved, str(error))
                raise

    def _work(self, pending: Sequence[int], ending: Ending) -> RunOutcome:
        trace = None
        try:
            if pending:
                with self._interrupts.at_once():
                    self._bench = self._workbench()
                self._memory, self._saved_at = PeakMemory(), time.monotonic()
                self._progress.started(self.spec, max([0, *self.folder.saves.positions()]))
            for checkpoint in pending:
                if checkpoint == 0:
                    self._score_pristine()
                else:
                    self._advance(checkpoint)
                    self._checkpoint(checkpoint)
        except ModelCollapsed as error:
            ending = Ending("collapsed", self._last_good(), str(error))
        except EditorError as error:
            ending, trace = Ending("failed", self._last_good(), str(error)), traceback.format_exc()
        return self._end(ending, trace)

    def _last_good(self) -> int:
        """Edits before the failure; a run that fails after its last edit is good up to its last scores."""
        return self._edits if self._edits < self.spec.schedule.edits else self._scored

    def _advance(self, checkpoint: int) -> None:
        """Go to ``checkpoint``: from a save if one is on the way, else by editing."""
        save, warnings = self.folder.saves.newest(at_most=checkpoint, above=self._edits)
        self._warn(warnings)
        if save is not None:
            self._load(save)
        elif self._editing is None:
            self._begin()
            if self._past.edits and self._past.edits > self._edits:
                self._warn(
                    [f"No good save up to {checkpoint} edits is there: the run starts again from its first edit."]
                )
        for batch in batches(self.spec.schedule):
            if self._edits <= batch.start < checkpoint:
                self._heed()
                self._edit(batch)
                if time.monotonic() - self._saved_at > self._settings.save_seconds and batch.stop < checkpoint:
                    self._save()
        if self._saved != self._edits:
            self._save()

    def _begin(self) -> Editing:
        begin = time.perf_counter()
        with self._interrupts.at_once():
            self._progress.phase("preparing the editor")
            editing = Editing(self._bench.model, self._bench.make_editor, self.spec.editor, self.spec.seed)
            self._tracker = Tracker(editing.model, editing.written, editing.editor, self._settings.diagnostics)
        used = {"statistics": editing.model.resources.used} if editing.model.resources.used else {}
        seconds = round(time.perf_counter() - begin, 3)
        self.folder.journal.append("prepared", seconds=seconds, **self._bench.provenance, **used)
        self._editing = editing
        self._edits = self._saved = 0
        return editing

    def _load(self, save: Save) -> None:
        editing = self._begin()
        weights, state = self.folder.saves.read(save)
        editing.load(weights, state)
        self._tracker.load_state_dict(self.folder.saves.read_tracked(save))
        self._edits = self._saved = save.edits
        self._saved_at = time.monotonic()
        self.folder.journal.append("run_resumed", edits=save.edits)
        self._progress.resumed(save.edits)
        self._prune()

    def _edit(self, batch: Batch) -> None:
        assert self._editing is not None
        requests = [case.request for case in self.cases[batch.start : batch.stop]]
        self._tracker.before(batch)
        report, seconds = self._editing.edit(batch.number, requests)
        self._tracker.after(batch, requests, report.updates)
        self._edits = batch.stop
        record = {"seconds": report.seconds, "counters": report.counters, "values": report.values}
        self.folder.journal.append(
            "batch",
            index=batch.number,
            edits=batch.stop,
            seconds_edit=round(seconds, 4),
            report=record,
            peak_memory_mb=self._memory.megabytes(),
        )
        self._freed.give_back()
        self._warn(self._past.unlike_batch(batch.number, report))
        self._progress.batch(batch.stop, batch.stop - batch.start, seconds)

    def _save(self) -> None:
        assert self._editing is not None
        try:
            weights, state = self._editing.snapshot()
        except EditorError:
            self._edits = self._saved  # nothing after the last save can be trusted
            raise
        save = self.folder.saves.write(self._edits, weights, state, self._tracker.state_dict())
        self.folder.journal.append("save", edits=save.edits, sha256=save.checksums)
        self._warn(self._past.unlike_save(save.edits, save.checksums))
        self._saved, self._saved_at = save.edits, time.monotonic()
        self._prune()

    def _prune(self) -> None:
        if self._settings.keep_checkpoints == "newest":
            self.folder.saves.prune(self._saved)

    def _score_pristine(self) -> None:
        """Score the unedited model before any editor has seen it, or take over what another run measured."""
        restore_pristine(self._bench.model)
        shared, begin = self._bench.pristine_scores, time.perf_counter()
        files = shared.find() if shared is not None else None
        if files is None:
            with self._interrupts.at_once():
                self._progress.phase("scoring the unedited model")
                files, seconds = model_files(self.spec, self.cases, 0, self._bench.instruments)
            if shared is not None:
                shared.keep(files)
        else:
            seconds = {"seconds_scoring": time.perf_counter() - begin, "seconds_abilities": 0.0}
        if self._editing is None:
            self._begin()
        self._keep_scores(0, files | self._diagnostics(0, seconds), seconds)

    def _checkpoint(self, edits: int) -> None:
        assert self._editing is not None
        with self._interrupts.at_once():
            self._progress.phase("scoring")
            with self._editing.evaluated():
                said = self.folder.continuations()
                files, seconds = model_files(self.spec, self.cases, edits, self._bench.instruments, said)
                self._tracker.see_scored()
            files |= self._diagnostics(edits, seconds)
        self._keep_scores(edits, files, seconds)

    def _diagnostics(self, edits: int, seconds: dict[str, float]) -> dict[str, bytes]:
        """The file of diagnostics; what they took since the last one is added to ``seconds``."""
        rows = self._tracker.measure(batches=-(-edits // self.spec.schedule.batch_size))
        seconds["seconds_diagnostics"] = self._tracker.spent()
        return {DIAGNOSTICS: diagnostics_file(rows)}

    def _keep_scores(self, edits: int, files: dict[str, bytes], seconds: dict[str, float]) -> None:
        self.folder.write_scores(edits, files)
        self._scored = edits
        self.folder.journal.append("checkpoint", edits=edits, **{name: round(s, 3) for name, s in seconds.items()})
        self._progress.scored(edits, headline(files, self.spec.task.form))

    def _heed(self) -> None:
        """Save and stop if a signal came or the limit is reached."""
        limit = self._settings.limit
        if self._interrupts.requested or (limit is not None and self._edits >= limit):
            if self._edits > self._saved:
                self._save()
            raise Stopped(self._interrupts.requested)

    def _stop(self, word: str | None) -> RunOutcome:
        if word is not None:
            with suppress(MissingResource, OSError):
                self.folder.journal.append("interrupted", edits=self._saved, how=word)
        edits = max([0, *self.folder.saves.positions()])
        outcome = RunOutcome(self.spec, "partial", edits, self.folder.path, stopped=word)
        self._progress.ended(outcome.status, edits, word)
        return outcome

    def _end(self, ending: Ending, trace: str | None) -> RunOutcome:
        self.folder.end(ending)
        event = {"complete": "run_finished", "collapsed": "run_collapsed", "failed": "run_failed"}[ending.status]
        extra = {"reason": ending.reason} if ending.reason else {}
        self.folder.journal.append(event, edits=ending.edits, **extra, **({"traceback": trace} if trace else {}))
        return self._outcome(ending)

    def _outcome(self, ending: Ending) -> RunOutcome:
        self._progress.ended(ending.status, ending.edits, ending.reason)
        return RunOutcome(self.spec, ending.status, ending.edits, self.folder.path, ending.reason)

    def _warn(self, warnings: Sequence[str]) -> None:
        for warning in warnings:
            self.folder.journal.append("warning", message=warning)
            self._progress.message(warning)
