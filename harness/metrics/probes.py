"""The pure functions that turn outcomes of probes and sampled texts into metrics.

Arrays only: nothing here knows models, files or the store. A case is the unit: each metric is first averaged over the
probes of a case, then over cases, so that cases with many probes do not weigh more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from palimpsest.harness.metrics.definitions import METRICS, Metric, metric
from palimpsest.harness.specs.cases import ProbeKind

__all__ = ["METRICS", "SCORES", "CaseTable", "Metric", "Outcomes", "aggregate", "case_table", "main_score", "metric"]
Floats = NDArray[np.float64]
SCORES: Mapping[str, tuple[str, str, str]] = {
    f"score_{form}": (f"efficacy_{form}", f"paraphrase_{form}", f"neighborhood_{form}")
    for form in ("preference", "argmax", "token_accuracy")
}
"""Score name → the three metrics whose harmonic mean it is."""

_STAGES = {"rewrite": "efficacy", "paraphrase": "paraphrase", "neighborhood": "neighborhood"}


def main_score(form: str) -> str:
    """The harmonic score that goes with the headline, for a task of ``form`` ``counterfact`` or ``zsre``."""
    return "score_token_accuracy" if form == "zsre" else "score_argmax"


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """The model's answer to one probe. A target that the probe lacks has NLL NaN, no tokens, and is not exact."""

    case_id: int
    kind: ProbeKind
    index: int
    nll_new: float
    """Mean over the tokens of the new target of -log p(token | prompt, earlier target tokens), in nats."""
    nll_true: float
    tokens_new: int
    tokens_true: int
    hits_new: int
    """Tokens of the new target that are the model's first choice, teacher-forced."""
    hits_true: int
    exact_new: bool
    """Every token of the new target is the model's first choice."""
    exact_true: bool
    tokens_top: int = 0
    """Tokens of the unedited model's own continuation; 0: not asked."""
    hits_top: int = 0
    exact_top: bool = False
    nll_fed: float = float("nan")
    """NLL of that continuation, each token behind the prompt and the true target's tokens before its place."""
    tokens_fed: int = 0
    """Tokens asked for in this way; 0: not asked."""
    hits_fed: int = 0
    hits_first: int = 0
    """Places of the true target with the same first choice as the unedited model's."""


LATER = ("tokens_top", "hits_top", "exact_top", "nll_fed", "tokens_fed", "hits_fed", "hits_first")
"""Columns that only runs have which compare with the unedited model's words; the last four are of published forms."""
_KINDS: Mapping[str, Any] = {
    "kind": np.str_,
    **dict.fromkeys(("nll_new", "nll_true", "nll_fed"), np.float64),
    **dict.fromkeys(("exact_new", "exact_true", "exact_top"), np.bool_),
}
"""Types of those columns of `Outcomes` that are no whole numbers."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Outcomes of probes as columns of one length; the names are those of the stored Parquet files."""

    case_id: NDArray[np.int64]
    kind: NDArray[np.str_]
    nll_new: Floats
    nll_true: Floats
    tokens_new: NDArray[np.int64]
    tokens_true: NDArray[np.int64]
    hits_new: NDArray[np.int64]
    hits_true: NDArray[np.int64]
    exact_new: NDArray[np.bool_]
    exact_true: NDArray[np.bool_]
    tokens_top: NDArray[np.int64]
    """0 where there is no continuation of the unedited model to compare with."""
    hits_top: NDArray[np.int64]
    exact_top: NDArray[np.bool_]
    nll_fed: Floats
    tokens_fed: NDArray[np.int64]
    hits_fed: NDArray[np.int64]
    hits_first: NDArray[np.int64]

    @classmethod
    def from_columns(cls, columns: Mapping[str, ArrayLike]) -> Outcomes:
        """From columns by name (a dict of arrays or lists, a data frame).

        Other columns are ignored; those of `LATER` may be missing.
        """
        given = dict.fromkeys(LATER, np.zeros(len(np.asarray(columns["case_id"])))) | dict(columns)
        return cls(**{name: np.asarray(given[name]).astype(_KINDS.get(name, np.int64)) for name in cls.__slots__})

    @classmethod
    def from_records(cls, records: Sequence[ProbeOutcome]) -> Outcomes:
        """From the results of `palimpsest.harness.scoring.probes.score_cases`."""
        return cls.from_columns({name: [getattr(r, name) for r in records] for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class CaseTable:
    """Per-case values of every metric that is a mean over cases: the unit of the bootstrap."""

    case_ids: NDArray[np.int64]
    """Sorted, distinct; shape (cases,)."""
    values: Mapping[str, Floats]
    """Metric name → shape (cases,), in the metric's unit; NaN where the case has no such probe."""
    nonfinite_probes: int
    """Number of probes with an NLL that is not finite."""

    @property
    def score_names(self) -> tuple[str, ...]:
        """The harmonic scores that can be made from these values."""
        return tuple(name for name, parts in SCORES.items() if parts[0] in self.values)


def case_table(outcomes: Outcomes, form: str) -> CaseTable:
    """Average the probes of each case, for a task of ``form`` ``counterfact`` or ``zsre``.

    A probe whose NLL is not finite is a failure in every form: 0 in shares, -1 (the worst value) in magnitudes. A probe
    that lacks the target a metric asks for (ZsRE locality has no new target) does not take part in that metric.
    """
    case_ids, row = np.unique(outcomes.case_id, return_inverse=True)
    has_new, has_true = outcomes.tokens_new > 0, outcomes.tokens_true > 0
    failed = (has_new & ~np.isfinite(outcomes.nll_new)) | (has_true & ~np.isfinite(outcomes.nll_true))
    values: dict[str, Floats] = {}
    for kind, stage in _STAGES.items():
        asked = outcomes.kind == kind
        for name, (value, applicable) in _probe_values(outcomes, kind, form, failed).items():
            values[f"{stage}_{name}"] = _mean_by_case(value, asked & applicable, row, len(case_ids))
    compared = outcomes.tokens_top > 0
    if compared.any():
        share = outcomes.hits_top / np.maximum(outcomes.tokens_top, 1)
        for name, said in (("neighborhood_top", 1.0 * outcomes.exact_top), ("neighborhood_top_tokens", share)):
            values[name] = _mean_by_case(np.where(failed, 0.0, 100.0 * said), compared, row, len(case_ids))
    for name, (said, asked) in _published(outcomes).items():
        values[name] = _mean_by_case(np.where(failed, 0.0, 100.0 * said), asked, row, len(case_ids))
    return CaseTable(case_ids, values, int(failed.sum()))


def _published(outcomes: Outcomes) -> dict[str, tuple[Floats, NDArray[np.bool_]]]:
    """Specificity as the code of DeltaEdit and of EasyEdit has it: metric → (share, whether the probe was asked)."""
    fed = outcomes.tokens_fed > 0
    if not fed.any():
        return {}
    with np.errstate(invalid="ignore"):
        preferred = outcomes.nll_fed < outcomes.nll_new
    return {
        "neighborhood_top_deltaedit": (1.0 * (outcomes.hits_fed == outcomes.tokens_fed), fed),
        "neighborhood_top_preference_deltaedit": (1.0 * preferred, fed & (outcomes.tokens_new > 0)),
        "locality_easyedit": (outcomes.hits_first / np.maximum(outcomes.tokens_fed, 1), fed),
    }


def _probe_values(
    outcomes: Outcomes, kind: str, form: str, failed: NDArray[np.bool_]
) -> dict[str, tuple[Floats, NDArray[np.bool_]]]:
    """Per probe: metric suffix → (value, whether the probe has what the metric asks for)."""
    wanted, other = ("true", "new") if kind == "neighborhood" else ("new", "true")
    tokens: NDArray[np.int64] = getattr(outcomes, f"tokens_{wanted}")
    has, has_both = tokens > 0, (outcomes.tokens_new > 0) & (outcomes.tokens_true > 0)
    if form == "zsre":
        share = getattr(outcomes, f"hits_{wanted}") / np.maximum(tokens, 1)
        return {"token_accuracy": (np.where(failed, 0.0, 100.0 * share), has)}
    nll_wanted: Floats = getattr(outcomes, f"nll_{wanted}")
    nll_other: Floats = getattr(outcomes, f"nll_{other}")
    with np.errstate(invalid="ignore", over="ignore"):
        better = (nll_wanted < nll_other) & ~failed
        magnitude = np.where(failed, -1.0, np.exp(-nll_wanted) - np.exp(-nll_other))
    exact = getattr(outcomes, f"exact_{wanted}") & ~failed
    return {
        "preference": (100.0 * better, has_both),
        "argmax": (100.0 * exact, has),
        "magnitude": (magnitude, has_both),
    }


def _mean_by_case(value: Floats, take: NDArray[np.bool_], row: NDArray[np.intp], cases: int) -> Floats:
    count = np.bincount(row[take], minlength=cases)
    total = np.bincount(row[take], weights=value[take], minlength=cases)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def aggregate(table: CaseTable) -> dict[str, float]:
    """Means over cases, harmonic scores, and ``nonfinite_probes``; NaN for a metric that no case has."""
    result = {name: nan_mean(value) for name, value in table.values.items()}
    for name in table.score_names:
        result[name] = float(harmonic_mean(np.array([result[part] for part in SCORES[name]])))
    result["nonfinite_probes"] = float(table.nonfinite_probes)
    return result


def nan_mean(value: Floats) -> float:
    """Mean of the entries that are not NaN; NaN, without a warning, when there are none."""
    present = value[~np.isnan(value)]
    return float(present.mean()) if present.size else float("nan")


def harmonic_mean(parts: Floats) -> Floats:
    """Harmonic mean over the last axis; 0 where any part is 0 or below, NaN where any part is NaN."""
    parts = np.asarray(parts, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = parts.shape[-1] / (1.0 / parts).sum(axis=-1)
    mean = np.where((parts <= 0).any(axis=-1), 0.0, mean)
    return np.where(np.isnan(parts).any(axis=-1), np.nan, mean)
