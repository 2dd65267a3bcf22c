"""Courses of each case and each ability item over a run, packed: one text per case, one per ability task.

A course is what the page's case explorer and its lists of facts kept read, and is some hundred times smaller than the
outcomes themselves. It has one block per scored checkpoint, in ascending order, separated by spaces. A block has one
character per probe of the case, by kind in the order of `KIND_ORDER` with dots between the kinds, and by index:

* CounterFact form: a hexadecimal digit, the sum of 1 (every token of the new target is the model's first choice), 2 (of
  the true target), 4 (the new target is the more probable one) and 8 (the true target is), or ``x`` if a likelihood was
  not finite;
* question form: the share of the wanted answer's tokens that are the model's first choice, in sixtieths, as a letter of
  `SHARES`; exact for answers of up to six tokens.

An empty block (two spaces in a row) means that the case was not scored; a block that begins with ``~`` was scored in
another window than ``all``.

The text of an ability task has ``1`` for each item that is right and ``0`` for the others. If the task's metric has
degrees, the text begins with ``~`` and has a letter of `SHARES` for each item, its degree in sixtieths.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from palimpsest.harness.abilities.items import PERPLEXITY
from palimpsest.results.reading.tables import degrees

KIND_ORDER = ("rewrite", "paraphrase", "neighborhood")
SHARES = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_STEPS = 60
_LETTERS = np.frombuffer(SHARES.encode(), dtype=np.uint8)


def case_courses(checkpoints: Mapping[int, Mapping[str, pa.Table]], cases: pa.Table, form: str) -> list[dict[str, Any]]:
    """One row per case with its ``course``, in edit order.

    Args:
        checkpoints: edits → the tables of a score folder.
        cases: ``position`` and ``case_id`` of every case of the schedule.
        form: ``counterfact`` or ``zsre``.
    """
    blocks: list[dict[int, str]] = [_blocks(parts["probes.parquet"], form) for _, parts in sorted(checkpoints.items())]
    columns = (cases["position"].to_pylist(), cases["case_id"].to_pylist())
    return [
        {"position": position, "case_id": case, "course": " ".join(block.get(case, "") for block in blocks)}
        for position, case in sorted(zip(*columns, strict=True))
    ]


def _blocks(probes: pa.Table, form: str) -> dict[int, str]:
    """Case id → its block at one checkpoint."""
    if not len(probes):
        return {}
    kind = pc.index_in(probes["kind"], value_set=pa.array(KIND_ORDER)).to_numpy(zero_copy_only=False)
    known = ~np.isnan(kind.astype(np.float64))
    columns = {name: probes[name].to_numpy()[known] for name in probes.column_names if name != "kind"}
    order = np.lexsort((columns["index"], kind[known], columns["case_id"]))
    columns = {name: values[order] for name, values in columns.items()}
    kind = kind[known][order].astype(np.int64)
    codes = _shares(columns, kind) if form == "zsre" else _codes(columns)
    ids, starts = np.unique(columns["case_id"], return_index=True)
    stops = [*starts[1:].tolist(), len(codes)]
    inside = columns["window_all"] | columns["window_planned"]
    return {
        case: ("" if inside[start] else "~") + _dotted(codes[start:stop], kind[start:stop])
        for case, start, stop in zip(ids.tolist(), starts.tolist(), stops, strict=True)
    }


def _dotted(codes: NDArray[np.uint8], kind: NDArray[np.int64]) -> str:
    text = codes.tobytes().decode("ascii")
    first, second = np.searchsorted(kind, (1, 2)).tolist()
    return f"{text[:first]}.{text[first:second]}.{text[second:]}"


def _failed(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    new = (columns["tokens_new"] > 0) & ~np.isfinite(columns["nll_new"])
    true = (columns["tokens_true"] > 0) & ~np.isfinite(columns["nll_true"])
    failed: NDArray[np.bool_] = new | true
    return failed


def _codes(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    with np.errstate(invalid="ignore"):
        new, true = columns["nll_new"] < columns["nll_true"], columns["nll_true"] < columns["nll_new"]
    bits = (columns["exact_new"], columns["exact_true"], new, true)
    value = sum(bit.astype(np.int64) << place for place, bit in enumerate(bits))
    digits = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    return np.where(_failed(columns), ord("x"), digits[value]).astype(np.uint8)


def _shares(columns: Mapping[str, NDArray[Any]], kind: NDArray[Any]) -> NDArray[np.uint8]:
    near = kind == KIND_ORDER.index("neighborhood")
    hits = np.where(near, columns["hits_true"], columns["hits_new"])
    tokens = np.where(near, columns["tokens_true"], columns["tokens_new"])
    step = np.rint(_STEPS * hits / np.maximum(tokens, 1)).astype(np.int64)
    return np.where(_failed(columns), ord("x"), _LETTERS[np.clip(step, 0, _STEPS)]).astype(np.uint8)


def _letters(shares: NDArray[np.float64], steps: int) -> str:
    return _LETTERS[np.rint(steps * shares).astype(np.int64)].tobytes().decode("ascii")


def ability_courses(checkpoints: Mapping[int, Mapping[str, pa.Table]]) -> list[dict[str, Any]]:
    """One row per checkpoint and ability task: which items were right, in the order of items."""
    rows = []
    for edits, parts in sorted(checkpoints.items()):
        table = parts["abilities.parquet"]
        for name in sorted(pc.unique(table["ability"]).to_pylist()):
            items = table.filter(pc.equal(table["ability"], name)).sort_by("item")
            if items["metric"][0].as_py() == PERPLEXITY:
                continue  # running text has no right items
            right, graded = degrees(items), items["score"].null_count < len(items)
            text = ("~" if graded else "") + _letters(right, _STEPS if graded else 1)
            rows.append({"edits": edits, "ability": name, "chance": 100 * items["chance"][0].as_py(), "items": text})
    return rows


def texts_hash(cases: pa.Table, probes: pa.Table) -> str:
    """Identity of what a run asks: runs that edit and ask the same in the same order share it."""
    digest = hashlib.sha256()
    for table in (cases, probes):
        for name in table.column_names:
            values = "".join(f"{value}\x1f" for value in table[name].to_pylist())
            digest.update(f"{values}\x1e".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]
