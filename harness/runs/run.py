"""One run: what is left of it is planned, carried out step by step, and ended; from wherever its last good save is."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from palimpsest.harness.errors import EditorError, MissingResource, ModelCollapsed
from palimpsest.harness.runs.folder import RunFolder
from palimpsest.harness.runs.journal import Progress
from palimpsest.harness.runs.reading import Ending
from palimpsest.harness.runs.work import RunInputs, RunSettings, Work
from palimpsest.harness.specs.steps import steps
from palimpsest.harness.system.environment import environment_segment
from palimpsest.harness.system.interrupts import Interrupts, Stopped
from palimpsest.harness.system.public_text import public

if TYPE_CHECKING:
    from palimpsest.harness.specs.cases import Case
    from palimpsest.harness.specs.run_spec import RunSpec

__all__ = ["Run", "RunInputs", "RunOutcome", "RunSettings"]

_EVENTS = {"complete": "run_finished", "collapsed": "run_collapsed", "failed": "run_failed"}


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """Outcome of a run."""

    spec: RunSpec
    status: str
    """``complete``, ``collapsed``, ``failed`` or ``partial``."""
    edits: int
    """Edits up to which everything is good and saved."""
    folder: Path
    reason: str | None = None
    stopped: str | None = None
    """``interrupted`` or ``terminated`` when a signal ended the run."""


class Run:
    """One run, from its last good save to its end."""

    def __init__(
        self,
        spec: RunSpec,
        cases: Sequence[Case],
        home: Path,
        *,
        inputs: Callable[[], RunInputs],
        progress: Progress,
        settings: RunSettings | None = None,
        interrupts: Interrupts | None = None,
    ) -> None:
        """Set up the run of these cases, in edit order; nothing is read or written yet.

        ``inputs`` is called once there is something to do, since loading a model may take long.
        """
        self.spec = spec
        self.cases = cases
        self.folder = RunFolder(home, spec, progress)
        self._inputs = inputs
        self._settings = settings or RunSettings()
        self._interrupts = interrupts or Interrupts()

    def execute(self) -> RunOutcome:
        """Do whatever has not been done yet. A run that has ended is only checked; a failed one is tried again.

        Raises:
            RunBusy: Another process works on this run.
            UsageError: It was begun with another number of threads.
            MissingResource: The environment lacks something, as disk space, or is another kind of machine; the same
                call continues.
        """
        try:
            with self.folder.locked(self._settings.work):
                return self._go_on()
        except OSError:  # a finished run is known as such where nothing may be written, too
            ending = self.folder.ending()
            if ending is None or ending.status == "failed" or self.folder.unscored(ending.edits):
                raise
            return self._outcome(ending)

    def _go_on(self) -> RunOutcome:
        """Do what is left of the run, its folder held."""
        self.folder.check(self.cases)
        ending = self.folder.ending()
        if ending is not None and ending.status == "failed":
            ending = None
        unscored = self.folder.unscored(ending.edits if ending else self.spec.schedule.edits)
        if ending is not None and not unscored:
            unscored = self.folder.to_be_done_again(ending)
            if unscored[-1:] > [ending.edits]:
                ending = None  # a collapsed run goes on to where it collapses
        if ending is not None and not unscored:
            self.folder.journal.warn(self.folder.warnings())
            with suppress(MissingResource, OSError):  # a run of an older release, or killed before it wrote this
                self._drop_saves(ending)
                self.folder.seal()
            return self._outcome(ending)
        self._begin()
        try:
            return self._carry_out(unscored, ending or Ending("complete", self.spec.schedule.edits))
        except (Stopped, KeyboardInterrupt) as stop:
            return self._stopped(getattr(stop, "word", "interrupted"))
        except Exception as error:
            self.folder.journal.tell("ended", status="partial", edits=self._last_save(), reason=str(error))
            raise

    def _begin(self) -> None:
        """Record that, and in which environment, this process takes the run up."""
        segment = environment_segment(self._settings.command, self.spec.editor.distribution)
        segment["diagnostics"] = self._settings.diagnostics
        self.folder.require_same(segment, any_machine=self._settings.any_machine)
        self.folder.journal.append("run_started", segment=self.folder.reopen(segment))
        self.folder.journal.warn(self.folder.warnings())

    def _carry_out(self, unscored: Sequence[int], ending: Ending) -> RunOutcome:
        """Do the steps to the checkpoints without scores, and end the run as ``ending`` says if nothing goes wrong."""
        if not unscored:
            return self._end(ending)
        work = self._take_up(unscored)
        try:
            for step in steps(self.spec.schedule, unscored, work.saves, self._settings.limit):
                work.do(step)
        except ModelCollapsed as error:
            return self._end(Ending("collapsed", work.last_good(), str(error)))
        except EditorError as error:
            return self._end(Ending("failed", work.last_good(), str(error)), traceback.format_exc())
        return self._end(ending)

    def _take_up(self, unscored: Sequence[int]) -> Work:
        with self._interrupts.at_once():
            inputs = self._inputs()
        saves = self.folder.saves_towards(unscored)
        self.folder.journal.tell(
            "started",
            run=self.spec.id,
            editor=self.spec.editor.name,
            model=self.spec.model.name,
            planned=self.spec.schedule.edits,
            edits=self._last_save(),
        )
        self.folder.journal.warn(self.folder.warnings())
        return Work(self.folder, self.cases, inputs, saves, self._settings, self._interrupts)

    def _stopped(self, word: str | None) -> RunOutcome:
        edits = self._last_save()
        if word is not None:
            with suppress(MissingResource, OSError):
                self.folder.journal.append("interrupted", edits=edits, how=word)
        self.folder.journal.tell("ended", status="partial", edits=edits, reason=word)
        return RunOutcome(self.spec, "partial", edits, self.folder.path, stopped=word)

    def _end(self, ending: Ending, trace: str | None = None) -> RunOutcome:
        if ending.reason:
            ending = replace(ending, reason=public(ending.reason))
        self.folder.end(ending)
        extra = {"reason": ending.reason} if ending.reason else {}
        if trace is not None:
            extra["traceback"] = trace
        self.folder.journal.append(_EVENTS[ending.status], edits=ending.edits, **extra)
        self._drop_saves(ending)
        self.folder.seal()
        return self._outcome(ending)

    def _drop_saves(self, ending: Ending) -> None:
        if self._settings.keep_checkpoints == "none":
            self.folder.drop_saves(ending)

    def _outcome(self, ending: Ending) -> RunOutcome:
        self.folder.journal.tell("ended", status=ending.status, edits=ending.edits, reason=ending.reason)
        return RunOutcome(self.spec, ending.status, ending.edits, self.folder.path, ending.reason)

    def _last_save(self) -> int:
        """Edits of the newest save on the disk; 0 without one."""
        return max([0, *self.folder.saves.positions()])
