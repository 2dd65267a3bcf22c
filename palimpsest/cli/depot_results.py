"""Results of runs that a depot keeps: those that have ended as mirrors in the home, of others how far they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from palimpsest.cli.depot_mirror import mirror
from palimpsest.cli.many_runs import STOPPED, RunResult, result_of
from palimpsest.harness.depot.head import look
from palimpsest.harness.depot.store import Store
from palimpsest.harness.errors import ConfigError, PalimpsestError
from palimpsest.harness.specs.planning import PlannedRun


class DepotResults:
    """Outcomes of runs, as their depot has them."""

    def __init__(self, store: Store, home: Path) -> None:
        """Choose the depot, and the home that mirrors lie in."""
        self._store = store
        self._home = home

    def is_over(self, run: PlannedRun) -> bool:
        """Tell if nothing is left to do of a run; raises `Unreachable` if the store does not answer."""
        try:
            head, _ = look(self._store, run.spec.id)
        except ConfigError:  # its process will say so, and the others go on
            return False
        return head is not None and head.is_over

    def result(
        self, run: PlannedRun, *, stopped: str | None = None, error: str | None = None, code: int = 0
    ) -> RunResult:
        """The result of a run; see `palimpsest.cli.many_runs.result_of`. A run that has ended is mirrored first."""
        head = None
        try:
            head, _ = look(self._store, run.spec.id)
            if head is not None and (head.is_over or head.status == "failed"):
                mirror(self._store, self._home, head)
                return result_of(run, self._home, stopped=stopped, error=error, code=code)
        except PalimpsestError as trouble:
            error, code = error or str(trouble), code or trouble.exit_code
        result = result_of(run, self._home, stopped=stopped, error=error, code=code)
        return replace(
            result,
            status=stopped or "partial",
            edits=0 if head is None else head.edits,
            folder=f"{self._store.url}/runs/{run.spec.id}",
            reason=error,
            exit_code=STOPPED[stopped] if stopped else code or 3,
        )
