"""Reports of editors, batch by batch, gathered per checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from palimpsest.harness.metrics.diagnostic_definitions import Diagnostic

_OWN_NAMES = frozenset({"target_error_before", "target_error_after"})
_REACHED = "early_stopped"


@dataclass(frozen=True, slots=True)
class Reported:
    """The numbers of one batch's report."""

    edits: int
    """Edits of this batch."""
    counters: Mapping[str, float]
    values: Mapping[str, float]


def gather(reports: Sequence[Reported]) -> list[Diagnostic]:
    """Counters averaged over the batches between two checkpoints, values over their edits.

    Counters are not summed: some state what holds for every batch, like the rank of a projector.

    A name that ends in a dot and a number belongs to the layer of that number: ``update_norm.5``.
    """
    rows = []
    total = sum(report.edits for report in reports)
    for name in sorted({name for report in reports for name in report.counters}):
        found = [report for report in reports if name in report.counters]
        count = sum(report.counters[name] for report in found)
        if name == _REACHED and len(found) == len(reports) and total:
            rows.append(Diagnostic("targets_unreached", None, 100 * (1 - count / total)))
        rows.append(_row(name, count / len(found)))
    for name in sorted({name for report in reports for name in report.values}):
        weighted = [(report.edits, report.values[name]) for report in reports if name in report.values]
        edits = sum(weight for weight, _ in weighted)
        if edits:
            rows.append(_row(name, sum(weight * value for weight, value in weighted) / edits))
    return rows


def _row(name: str, value: float) -> Diagnostic:
    if name in _OWN_NAMES:
        return Diagnostic(name, None, value)
    base, dot, layer = name.rpartition(".")
    if dot and layer.isascii() and layer.isdecimal() and len(layer) < 6:
        return Diagnostic(f"reported:{base}", int(layer), value)
    return Diagnostic(f"reported:{name}", None, value)
