"""Numbers that claims are about, of runs in the store: the headline, scores, diagnostics of all layers together."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import groupby

from palimpsest.harness.metrics.diagnostic_definitions import EVALUATED
from palimpsest.results.analysis.claims import Key, Measured
from palimpsest.results.store.database import Store
from palimpsest.tasks.claim_quantities import HEADLINE, LAYERED, SCORES

_OWN = "FROM shown_runs WHERE run_id IN (SELECT unnest(?)) AND NOT submitted"
_HEADLINE = f"""
SELECT run_id, edits_planned, h.edits FROM headlines h JOIN ({_OWN}) USING (run_id)
WHERE quantity = ? AND h.edits IS NOT NULL
"""
_SCORES = f"""
SELECT run_id, metric, m.edits, value FROM metrics m JOIN ({_OWN}) USING (run_id)
WHERE "window" IN ('all', '') AND metric IN (SELECT unnest(?)) AND value IS NOT NULL
"""
_DIAGNOSTICS = f"""
SELECT run_id, d.edits, name, layer, value FROM diagnostics d JOIN ({_OWN}) USING (run_id)
WHERE layer IS NOT NULL AND name IN (SELECT unnest(?)) AND value IS NOT NULL ORDER BY run_id, d.edits
"""


def measured(store: Store, run_ids: Collection[str]) -> dict[str, Measured]:
    """Run id → its status and numbers, of ``run_ids`` that were run here or published; submissions do not count."""
    runs = list(run_ids)
    values: dict[str, dict[Key, float]] = {}
    for run_id, end, value in store.rows(_HEADLINE, [runs, HEADLINE]):
        values.setdefault(run_id, {})[HEADLINE, end] = value
    for run_id, metric, edits, value in store.rows(_SCORES, [runs, list(SCORES)]):
        values.setdefault(run_id, {})[metric, edits] = value
    for run_id, key, value in _over_layers(store, runs):
        values.setdefault(run_id, {})[key] = value
    statuses = store.rows(f"SELECT run_id, status {_OWN} ORDER BY run_id", [runs])
    return {run_id: Measured(status, values.get(run_id, {})) for run_id, status in statuses}


def _over_layers(store: Store, runs: list[str]) -> Iterator[tuple[str, Key, float]]:
    """Run, quantity with checkpoint, and value; of the weights as they are scored where those are others."""
    wanted = [prefix + one.stored for one in LAYERED.values() for prefix in ("", EVALUATED)]
    for (run_id, edits), rows in groupby(store.rows(_DIAGNOSTICS, [runs, wanted]), key=lambda row: row[:2]):
        layers: dict[str, dict[int, float]] = {}
        for _, _, name, layer, value in rows:
            layers.setdefault(name, {})[layer] = value
        for quantity, how in LAYERED.items():
            written, scored = layers.get(how.stored, {}), layers.get(EVALUATED + how.stored, {})
            of_layers = list((written | scored).values())
            total = how.total(of_layers) if of_layers else float("nan")
            if total == total and abs(total) != float("inf"):
                yield run_id, (quantity, edits), total
