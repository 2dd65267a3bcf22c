"""Outcomes of every probe of a run, as one table to take away."""

from __future__ import annotations

import pyarrow as pa

from palimpsest.results.store.database import Store

COLUMNS = {
    "run_id": "run, the hash of its spec",
    "track_id": "track within which it is ranked",
    "model": "edited model",
    "task": "data set of the edits",
    "edits_planned": "edits of the schedule",
    "batch_size": "edits per batch",
    "edit_order": "file order, or the seed by which the cases are shuffled",
    "protocol": "version of what is measured and how",
    "date": "ISO 8601, UTC: when the run ended, or began",
    "verified": "day on which it was done again and agreed; empty: not so",
    "editor": "editor or composition",
    "seed": "seed of the run",
    "edits": "edits made before this was asked; 0: the unedited model",
    "position": "place of the case in the edit order, from 0; it is edited if below edits",
    "case_id": "case in its data set",
    "subject": "subject of the edited fact",
    "kind": "rewrite: the edit itself; paraphrase: said another way; neighborhood: to stay as it was; or further",
    "index": "number of the probe among those of its kind and case",
    "prompt": "text that was asked",
    "target_new": "object that the edit writes, or answer to be avoided; empty: there is none",
    "target_true": "object before the edit, or answer to be kept; empty: there is none",
    "nll_new": "mean negative log likelihood per token of target_new, in nats",
    "nll_true": "the same of target_true",
    "tokens_new": "tokens of target_new",
    "tokens_true": "tokens of target_true",
    "hits_new": "tokens of target_new that are the model's first choice",
    "hits_true": "the same of target_true",
    "exact_new": "every token of target_new is the first choice",
    "exact_true": "the same of target_true",
}
"""Column → its meaning, in the order of the table."""

_RUN = ("track_id", "model", "task", "edits_planned", "batch_size", "edit_order", "protocol", "date", "verified",
        "editor", "seed")  # fmt: skip
_OF = {"runs": _RUN, "cases": ("subject",), "probes": ("prompt", "target_new", "target_true")}
_FROM = {name: table for table, names in _OF.items() for name in names}
_SQL = f"""
SELECT {", ".join(f'{_FROM.get(name, "case_scores")}."{name}"' for name in COLUMNS)}
FROM (FROM case_scores WHERE run_id = $1) case_scores JOIN (
    SELECT * REPLACE (coalesce(verified, '') AS verified), coalesce(finished_at, started_at, '') AS date
    FROM shown_runs WHERE run_id = $1
) runs USING (run_id)
JOIN (FROM cases WHERE run_id = $1) cases USING (run_id, case_id)
JOIN (FROM probes WHERE run_id = $1) probes USING (run_id, case_id, kind, index)
ORDER BY edits, case_scores.position, kind, index
"""


def outcomes(store: Store, run_id: str) -> pa.Table:
    """The table of one run; without lines where nothing was scored. One at a time: none is larger."""
    return store.arrow(_SQL, [run_id])
