"""Tables of the store as pandas data frames, each with the columns that say which run a line is of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from palimpsest.cli.options import home_folder
from palimpsest.cli.store_place import store_path
from palimpsest.harness.errors import unknown_name

if TYPE_CHECKING:
    import pandas as pd

TEXT, NAME, WHOLE, NUMBER, FLAG = "string", "category", "Int64", "float64", "boolean"


@dataclass(frozen=True, slots=True)
class Frame:
    """One kind of data frame."""

    meaning: str
    table: str
    """Table of the store, and what is joined to it."""
    order: str
    columns: Mapping[str, tuple[str, str]]
    """Column behind those of the run → its pandas dtype, and its meaning."""


RUN_COLUMNS = {
    "run_id": (NAME, "run, the hash of its spec"),
    "track_id": (NAME, "track within which runs are ranked"),
    "model": (NAME, "edited model"),
    "task": (NAME, "data set of the edits"),
    "editor": (NAME, "editor or composition"),
    "seed": (WHOLE, "seed of the run"),
}
"""The first columns of every frame."""
_EDITS = (WHOLE, "edits made before this was measured")
_INTERVAL = {
    "value": (NUMBER, "mean; missing: not measured"),
    "low": (NUMBER, "lower end of the 95 % interval"),
    "high": (NUMBER, "upper end"),
}

FRAMES: Mapping[str, Frame] = {
    "runs": Frame(
        "one line per run",
        "runs t LEFT JOIN (SELECT run_id, edits AS effective_edits, low, high FROM headlines"
        " WHERE quantity = 'effective_edits') USING (run_id)",
        "run_id",
        {
            "status": (NAME, "complete, partial, collapsed or failed"),
            "edits_planned": (WHOLE, "edits of the schedule"),
            "edits_done": (WHOLE, "edits survived"),
            "batch_size": (WHOLE, "edits per batch"),
            "protocol": (WHOLE, "version of what is measured and how"),
            "row_id": (NAME, "runs with the same one differ by their seed alone"),
            "effective_edits": (NUMBER, "the headline"),
            "low": (NUMBER, "lower end of its 95 % interval, over cases"),
            "high": (NUMBER, "upper end"),
            "seconds_per_edit": (NUMBER, "wall seconds"),
            "peak_memory_mb": (NUMBER, "largest memory of the process"),
            "started_at": (TEXT, "ISO 8601, UTC"),
            "finished_at": (TEXT, "ISO 8601, UTC; missing: has not ended"),
        },
    ),
    "metrics": Frame(
        "every score with its interval, per run, checkpoint and window",
        "metrics t JOIN runs USING (run_id)",
        'run_id, t.metric, t."window", t.edits',
        {
            "edits": _EDITS,
            "window": (NAME, "edits that are asked about: all, first, latest, planned; empty for abilities"),
            "metric": (NAME, "as palimpsest list metrics"),
            **_INTERVAL,
            "n": (WHOLE, "cases that the value rests on"),
            "imputed": (FLAG, "0 because the run had collapsed"),
        },
    ),
    "cases": Frame(
        "outcome of every probe of every case, per run and checkpoint",
        "case_scores t JOIN runs USING (run_id) JOIN (SELECT run_id, case_id, subject FROM cases)"
        " USING (run_id, case_id)",
        "run_id, t.edits, t.position, t.kind, t.index",
        {
            "edits": _EDITS,
            "case_id": (WHOLE, "case in its data set"),
            "position": (WHOLE, "place in the edit order, from 0; edited if below edits"),
            "subject": (NAME, "subject of the edited fact"),
            "kind": (NAME, "rewrite, paraphrase, neighborhood, or a further kind"),
            "index": (WHOLE, "number of the probe among those of its kind"),
            "nll_new": (NUMBER, "mean negative log likelihood per token of the new target, nats"),
            "nll_true": (NUMBER, "the same of the original target"),
            "tokens_new": (WHOLE, "tokens of the new target; 0: there is none"),
            "tokens_true": (WHOLE, "tokens of the original target"),
            "hits_new": (WHOLE, "tokens of the new target that are the model's first choice"),
            "hits_true": (WHOLE, "the same of the original target"),
            "exact_new": (FLAG, "every token of the new target is the first choice"),
            "exact_true": (FLAG, "the same of the original target"),
        },
    ),
    "abilities": Frame(
        "every ability task, per run and checkpoint",
        "ability_scores t JOIN runs USING (run_id)",
        "run_id, t.ability, t.edits",
        {
            "edits": _EDITS,
            "ability": (NAME, "ability task"),
            "metric": (NAME, "what counts as right"),
            "chance": (NUMBER, "score of guessing, percent"),
            "score": (NUMBER, "percent"),
            "low": (NUMBER, "lower end of the 95 % interval"),
            "high": (NUMBER, "upper end"),
            "items": (WHOLE, "items asked"),
        },
    ),
    "diagnostics": Frame(
        "every measurement of edited weights, per run, checkpoint and layer",
        "diagnostics t JOIN runs USING (run_id)",
        "run_id, t.name, t.layer, t.edits",
        {
            "edits": _EDITS,
            "name": (NAME, "diagnostic"),
            "layer": (WHOLE, "block of the model; missing: of the whole"),
            "value": (NUMBER, "its value"),
        },
    ),
    "checkpoints": Frame(
        "every checkpoint with what it cost",
        "checkpoints t JOIN runs USING (run_id)",
        "run_id, t.edits",
        {
            "edits": _EDITS,
            "scored": (FLAG, "false: counted as failed, after a collapse"),
            "probes": (WHOLE, "probes asked"),
            "seconds_scoring": (NUMBER, "wall seconds of scoring"),
            "seconds_abilities": (NUMBER, "wall seconds of the ability tasks"),
            "seconds_generation": (NUMBER, "wall seconds of sampling; missing: no texts were sampled"),
        },
    ),
}
"""Kind of frame → what is in it."""


def frame(kind: str, home: Path | str | None = None, *, run: str = "") -> pd.DataFrame:
    """A table of the store as a data frame.

    Args:
        kind: One of `FRAMES`, which has the dtype and the meaning of each column.
        home: Folder of runs and store; None: ``PALIMPSEST_HOME``, else ``./.palimpsest``.
        run: Only runs whose id begins with this; empty: all.

    Returns:
        One line per row of the table, with `RUN_COLUMNS` first, in an order that depends on the content alone.

    Raises:
        UsageError: There is no such kind.
        StoreError: There is no store yet (``palimpsest store ingest`` makes it), or it cannot be read.
    """
    from palimpsest.results.store.database import Store

    if kind not in FRAMES:
        raise unknown_name("Frame", kind, FRAMES, "sorted(palimpsest.FRAMES)")
    wanted = FRAMES[kind]
    own = {"effective_edits", "low", "high"} if kind == "runs" else set()
    heads = [f"{'t' if kind == 'runs' else 'runs'}.{name}" for name in RUN_COLUMNS if name != "run_id"]
    rest = [name if name in own or name == "subject" else f't."{name}"' for name in wanted.columns]
    sql = (
        f"SELECT run_id, {', '.join([*heads, *rest])} FROM {wanted.table}"
        f" WHERE starts_with(run_id, ?) ORDER BY {wanted.order}"
    )
    place = home_folder(None if home is None else Path(home))
    with Store.open(store_path(place), read_only=True) as store:
        found = store.arrow(sql, [run])
    dtypes = {name: dtype for name, (dtype, _) in (RUN_COLUMNS | dict(wanted.columns)).items()}
    return found.to_pandas().astype(dtypes)
