"""Portability, many hops and distraction: the probes that only some data have, as metrics.

Their questions follow from an edit without being the edit: by one more known fact (reasoning), by another name of the
subject (alias), by logic (the inverse relation), by several hops; or they stand behind the edit's sentence to distract.
The probes of a case and kind that share their prompt are one question with several right answers: the best one counts.
A case's questions are averaged first, then the cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from palimpsest.harness.specs.cases import FurtherKind

Floats = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]
KINDS: tuple[str, ...] = get_args(FurtherKind)
ANY_QUESTION = "multi_hop_any_mquake"
"""A case is right if one of its questions is: MQuAKE's way of counting (arXiv 2305.14795)."""
FORMS = ("argmax", "token_accuracy")
_KEPT = ("distracting",)
"""Kinds whose wanted answer is the true target."""


def further_metrics(kinds: set[str]) -> dict[str, tuple[str, ...]]:
    """Metric without its form → the kinds of probes that it is about, of the metrics that data with ``kinds`` have."""
    found = {kind: (kind,) for kind in KINDS if kind in kinds}
    portability = tuple(kind for kind in found if kind.startswith("portability_"))
    return {**({"portability": portability} if portability else {}), **found}


class FurtherProbes:
    """Turns outcomes of a run's further probes into values per case."""

    def __init__(self, probes: pa.Table) -> None:
        """Take up the probes of a run, as stored with it; of columns ``case_id``, ``kind``, ``index``, ``prompt``."""
        own = probes.filter(pc.is_in(probes["kind"], value_set=pa.array(KINDS)))
        columns = [own[name].to_pylist() for name in ("case_id", "kind", "index", "prompt")]
        questions: dict[tuple[int, str, str], int] = {}
        self._question = {
            (case_id, kind, index): questions.setdefault((case_id, kind, prompt), len(questions))
            for case_id, kind, index, prompt in zip(*columns, strict=True)
        }
        self._case = np.array([case_id for case_id, _, _ in questions], dtype=np.int64)
        self._kind = np.array([kind for _, kind, _ in questions], dtype=np.str_)
        self.metrics = further_metrics(set(self._kind.tolist()))
        """As `further_metrics`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all metrics that these probes give."""
        names = [f"{name}_{form}" for name in self.metrics for form in FORMS]
        return (*names, *((ANY_QUESTION,) if "multi_hop" in self.metrics else ()))

    def values(self, outcomes: Columns) -> dict[str, Floats]:
        """Metric → percent, for each distinct case in ascending order; NaN where it has no such probe.

        A probe with a likelihood that is not finite is a failure, as in all metrics.

        Args:
            outcomes: Columns of outcomes by name, as they are stored, of all kinds of probes.
        """
        if not self.metrics:
            return {}
        cases, row = np.unique(outcomes["case_id"], return_inverse=True)
        chosen = np.flatnonzero(np.isin(outcomes["kind"].astype(np.str_), KINDS))
        keys = zip(*(outcomes[name][chosen].tolist() for name in ("case_id", "kind", "index")), strict=True)
        question = np.array([self._question[key] for key in keys], dtype=np.int64)
        owner = np.full(len(self._case), -1)
        owner[question] = row[chosen]
        best = {form: np.zeros(len(self._case)) for form in FORMS}
        for form, share in _shares(outcomes, chosen).items():
            np.maximum.at(best[form], question, share)
        found: dict[str, Floats] = {}
        for name, kinds in self.metrics.items():
            inside = (owner >= 0) & np.isin(self._kind, kinds)
            for form in FORMS:
                found[f"{name}_{form}"] = _mean(owner[inside], best[form][inside], len(cases))
        if "multi_hop" in self.metrics:
            inside = (owner >= 0) & (self._kind == "multi_hop")
            some = np.full(len(cases), np.nan)
            np.fmax.at(some, owner[inside], 100 * best["argmax"][inside])
            found[ANY_QUESTION] = some
        return found


def _shares(outcomes: Columns, chosen: NDArray[np.intp]) -> dict[str, Floats]:
    """Form → how right each chosen probe is, 0..1: all tokens or not, and the share of tokens."""
    kept = np.isin(outcomes["kind"][chosen].astype(np.str_), _KEPT)
    hits = np.where(kept, outcomes["hits_true"][chosen], outcomes["hits_new"][chosen])
    tokens = np.where(kept, outcomes["tokens_true"][chosen], outcomes["tokens_new"][chosen])
    failed = np.zeros(len(chosen), dtype=np.bool_)
    for side in ("new", "true"):
        asked, nll = outcomes[f"tokens_{side}"][chosen] > 0, outcomes[f"nll_{side}"][chosen]
        failed |= asked & ~np.isfinite(nll)
    share = np.where(failed, 0.0, hits / np.maximum(tokens, 1))
    return {"argmax": np.where(share == 1, 1.0, 0.0), "token_accuracy": share}


def _mean(owner: NDArray[np.int64], value: Floats, cases: int) -> Floats:
    count = np.bincount(owner, minlength=cases)
    total = np.bincount(owner, weights=value, minlength=cases)
    return np.where(count > 0, 100 * total / np.maximum(count, 1), np.nan)
