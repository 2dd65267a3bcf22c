"""Consequences of the end of a run's process: one table for every way of starting processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["done", "failed", "later", "again", "given up", "stopped", "not begun"]
ENOUGH = 3
"""Ends without progress in a row after which a run is given up."""
_STOPPED = (130, 143)


@dataclass(slots=True)
class Attempts:
    """The attempts at one run so far, by this dispatcher."""

    furthest: int = 0
    """Edits that any attempt has made."""
    in_vain: int = 0
    """Attempts in a row that died, or lacked something, and got no further."""

    def judge(self, code: int, *, edits: int, kind: str = "", asked_to_stop: bool = False) -> Verdict:
        """Decide what becomes of the run.

        Args:
            code: Exit code of the process; negative: the signal that killed it.
            edits: Number of edits in the last event that it told.
            kind: What it called its error; ``busy``: another process works on the run.
            asked_to_stop: The dispatcher had asked it to.
        """
        advanced = edits > self.furthest
        self.furthest = max(self.furthest, edits)
        if advanced:
            self.in_vain = 0
        if code == 0:
            return "done"
        if code in _STOPPED:
            return "stopped" if asked_to_stop else "again"
        if code in (1, 2):
            return "failed"
        if code == 3:
            return "later" if kind == "busy" else "done"
        if asked_to_stop:
            return "stopped"
        if not advanced:
            self.in_vain += 1
        if self.in_vain >= ENOUGH:
            return "given up"
        return "later" if code == 4 else "again"
