"""What a run's journal remembers of edits that are done again: the same batch must come out the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from palimpsest.harness.runs.journal import plain
from palimpsest.harness.runs.saves import STATE, WEIGHTS

if TYPE_CHECKING:
    from palimpsest.harness.editor import EditReport


class Past:
    """Reports and checksums of an earlier process that worked on the same run."""

    def __init__(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Args: the journal's events so far."""
        self._batches = {e.get("index"): e.get("report") for e in events if e["event"] == "batch"}
        self._saves = {e.get("edits"): e.get("sha256") for e in events if e["event"] == "save"}
        done = [e.get("edits") for e in events if e["event"] in ("batch", "save")]
        self.edits = max((n for n in done if isinstance(n, int)), default=0)
        """Edits that were made before, saved or not."""
        self._told = False

    def unlike_batch(self, number: int, report: EditReport) -> list[str]:
        """A warning if the batch was done before and reported other numbers; told once."""
        before = self._batches.get(number)
        now = {"counters": plain(report.counters), "values": plain(report.values)}
        if not isinstance(before, Mapping) or self._told:
            return []
        if all(before.get(part) == value for part, value in now.items()):
            return []
        self._told = True
        return [
            f"Batch {number} was done before, and its report differs this time: the editor or the machine does not "
            "repeat itself to the bit."
        ]

    def unlike_save(self, edits: int, checksums: Mapping[str, str]) -> list[str]:
        """A warning if a save at this position was made before, with other content; told once."""
        before = self._saves.get(edits)
        if not isinstance(before, Mapping) or self._told:
            return []
        if all(before.get(name) == checksums.get(name) for name in (WEIGHTS, STATE)):
            return []
        self._told = True
        return [
            f"The save at {edits} edits differs from the one made before: the editor or the machine does not repeat "
            "itself to the bit."
        ]
