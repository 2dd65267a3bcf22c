"""Columns of the tables that pages offer for downloading: where a line is from, and what each column means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from palimpsest.harness.metrics.definitions import metric
from palimpsest.results.records import Track

MEANINGS = {
    "track_id": "track within which rows are ranked",
    "model": "edited model",
    "task": "data set of the edits",
    "edits_planned": "edits of the schedule",
    "batch_size": "edits per batch",
    "edit_order": "file order, or the seed by which the cases are shuffled",
    "protocol": "version of what is measured and how",
    "date": "ISO 8601, UTC: when the newest of its runs ended, or began",
    "verified": "day by which all of its runs had been done again and agreed; empty: not so",
    "run_id": "run, the hash of its spec",
    "row": "runs with the same one differ by their seed alone",
    "editor": "editor or composition",
    "distribution": "package that the editor is from",
    "version": "version of that package; of Palimpsest where none is named",
    "runs": "run ids of the row",
    "seed": "seed of the run",
    "seeds": "runs that the numbers are about",
    "status": "how many runs ended in which way",
    "courses": "courses that the headline rests on; 0: none ended by itself",
    "cases": "cases that each course is scored on at the end",
    "spreads_widely": "its courses spread more widely than those of others, so it is compared by a variance of its own",
    "rank_low": "best rank that the data allow; empty: no rank",
    "rank_high": "worst rank that the data allow",
    "effective_edits": "the headline",
    "until_80": "edits until h, of which effective edits are the area, is under 0.8; empty: never",
    "until_80_beyond": "edits after which that had not yet been so",
    "until_50": "the same with 0.5",
    "until_50_beyond": "edits after which that had not yet been so",
    "seconds_per_edit": "wall seconds",
    "edits_done": "edits that the run made",
    "score": "main score at the last checkpoint",
    "config": "the editor's configuration, as JSON",
    "peak_memory_mb": "largest memory of the process",
    "metric": "as palimpsest list metrics; ability:NAME for one ability task",
    "window": "edits that are asked about: all, first, latest, planned; empty for what has none",
    "value": "mean; empty: not measured",
    "low": "lower end of its 95 % interval",
    "high": "upper end",
    "imputed": "0 because the run had collapsed",
    "edits": "edits made before this was measured",
    "quality": "h in percent, of which effective edits are the area",
    "above": "row with more effective edits",
    "above_editor": "its name on the board",
    "below": "row with fewer",
    "below_editor": "its name on the board",
    "difference": "difference of their effective edits",
    "least_difference": "difference from which on the pair is told apart; empty: cannot be",
    "told_apart": "the pair is told apart",
    "line": "number of the line in the ledger; empty: a row of our own, which came by its first run",
    "time": "ISO 8601, UTC: when the line was written, or when the row's first run ended or began",
    "action": "add, include, replace, withdraw or rerun",
    "reason": "what the line of the ledger says of why",
    "replaces": "run in whose place this one is",
    "verdict": "whether doing it again agreed: bits, tolerance or differs; of a comparison: better, worse, tie, none",
    "track": "model, task and schedule in words",
    "day": "day of the night, or of the scoring",
    "commit": "commit of the code that ran",
    "kind": "external: edited elsewhere, and ranked with no run",
    "id": "the same for the same two models, task and edits",
    "name": "what the model is called",
    "base": "unedited model that it is beside",
    "base_fingerprint": "checksum of the base's tensors, configuration and tokenizer",
    "fingerprint": "the same of the edited model",
    "changed": "parameters that differ from the base's",
    "parameters": "parameters that there are",
    "task_hash": "checksum of the task's records",
    "before": "score of the base",
    "form": "how answers are judged: argmax, preference or token_accuracy",
    "column": "name of the column in the comparison",
    "best_group": "not told apart from the first row with a rank",
}
"""Column → what is in it. Metrics are told by their definitions, and what ends in _low or _high by what it bounds."""
_ENDS = {"_low": "lower", "_high": "upper"}


def meaning(column: str) -> str:
    """The meaning of a column.

    Raises:
        KeyError: Nothing is said of it.
    """
    if column in MEANINGS:
        return MEANINGS[column]
    for ending, word in _ENDS.items():
        if column.endswith(ending):
            return f"{word} end of the 95 % interval of {column.removesuffix(ending)}"
    return metric(column).definition


_OF_TRACK = {
    "track_id": "track_id",
    "model": "model",
    "task": "task",
    "edits_planned": "edits",
    "batch_size": "batch_size",
    "edit_order": "edit_order",
    "protocol": "protocol",
}
"""Column → field of the track."""


def of_track(track: Track, lines: int) -> dict[str, list[Any]]:
    """Columns that say of which track a table's lines are."""
    return {name: [getattr(track, field)] * lines for name, field in _OF_TRACK.items()}


def of_tracks(tracks: Sequence[Track | None]) -> dict[str, list[Any]]:
    """The same for a table whose lines are of several tracks, or of one that is not on the site."""
    return {name: [getattr(one, field, None) for one in tracks] for name, field in _OF_TRACK.items()}


class _Run(Protocol):
    """A run of which it is known whether it was done again."""

    @property
    def verified(self) -> str | None:
        """Day since which it counts as verified."""


def verified(runs: Sequence[_Run]) -> str:
    """Day since which all of these runs are verified; empty where one is not."""
    days = [run.verified or "" for run in runs]
    return max(days) if days and all(days) else ""
