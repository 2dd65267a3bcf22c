"""What is measured: one table of metrics, and the pure functions that turn outcomes of probes into them.

Arrays only: nothing here knows models, files or the store. A case is the unit: each metric is first averaged over the
probes of a case, then over cases, so that cases with many probes do not weigh more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from palimpsest.harness.diagnostics.records import RECORDS

if TYPE_CHECKING:
    from palimpsest.harness.scoring import ProbeOutcome

Floats = NDArray[np.float64]
Kind = Literal["preference", "argmax", "generation", "ability", "diagnostic", "cost", "endurance"]
Direction = Literal["higher", "lower", "none"]
Applies = Literal["counterfact", "zsre", "any"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing that is measured, with its exact definition."""

    name: str
    kind: Kind
    direction: Direction
    unit: str
    definition: str
    applies: Applies = "any"
    since_protocol: int = 1


_NEW_WINS = "share of {} where NLL(new) < NLL(true), strictly; NLL is the mean over the target's tokens"
_TRUE_WINS = "share of {} where NLL(true) < NLL(new), strictly; NLL is the mean over the target's tokens"
_NEW_TOP = "share of {} where every token of the new target is the model's first choice, teacher-forced"
_TRUE_TOP = "share of {} where every token of the true target is the model's first choice, teacher-forced"
_TOKENS = "share of the tokens of the {} that are the model's first choice, teacher-forced"
_HARMONIC = "harmonic mean of {}; 0 if any of the three is 0"

METRICS: tuple[Metric, ...] = (
    Metric("efficacy_preference", "preference", "higher", "%", _NEW_WINS.format("rewrite prompts"), "counterfact"),
    Metric("paraphrase_preference", "preference", "higher", "%", _NEW_WINS.format("paraphrases"), "counterfact"),
    Metric(
        "neighborhood_preference", "preference", "higher", "%", _TRUE_WINS.format("neighborhood prompts"), "counterfact"
    ),
    Metric(
        "score_preference",
        "preference",
        "higher",
        "%",
        _HARMONIC.format("efficacy_preference, paraphrase_preference and neighborhood_preference"),
        "counterfact",
    ),
    Metric("efficacy_argmax", "argmax", "higher", "%", _NEW_TOP.format("rewrite prompts"), "counterfact"),
    Metric("paraphrase_argmax", "argmax", "higher", "%", _NEW_TOP.format("paraphrases"), "counterfact"),
    Metric("neighborhood_argmax", "argmax", "higher", "%", _TRUE_TOP.format("neighborhood prompts"), "counterfact"),
    Metric(
        "score_argmax",
        "argmax",
        "higher",
        "%",
        _HARMONIC.format("efficacy_argmax, paraphrase_argmax and neighborhood_argmax"),
        "counterfact",
    ),
    Metric("efficacy_magnitude", "preference", "higher", "1", "p(new) - p(true) on rewrite prompts", "counterfact"),
    Metric("paraphrase_magnitude", "preference", "higher", "1", "p(new) - p(true) on paraphrases", "counterfact"),
    Metric(
        "neighborhood_magnitude", "preference", "higher", "1", "p(true) - p(new) on neighborhood prompts", "counterfact"
    ),
    Metric("efficacy_token_accuracy", "argmax", "higher", "%", _TOKENS.format("answer to the question"), "zsre"),
    Metric(
        "paraphrase_token_accuracy", "argmax", "higher", "%", _TOKENS.format("answer to the rephrased question"), "zsre"
    ),
    Metric(
        "neighborhood_token_accuracy",
        "argmax",
        "higher",
        "%",
        _TOKENS.format("true answer to the locality question"),
        "zsre",
    ),
    Metric(
        "score_token_accuracy",
        "argmax",
        "higher",
        "%",
        _HARMONIC.format("efficacy_token_accuracy, paraphrase_token_accuracy and neighborhood_token_accuracy"),
        "zsre",
    ),
    Metric(
        "nonfinite_probes",
        "diagnostic",
        "lower",
        "probes",
        "number of probes with an NLL that is not finite; each counts as a failure in every metric",
    ),
    Metric(
        "ability_score",
        "ability",
        "higher",
        "%",
        "share of the items of one ability task answered right: the right choice has the highest log-likelihood",
    ),
    Metric(
        "abilities_kept",
        "ability",
        "higher",
        "%",
        "mean over ability tasks of max(0, (score - chance) / (pristine score - chance)); tasks on which the pristine "
        "model is not above chance are left out",
    ),
    Metric(
        "ability_f1",
        "ability",
        "higher",
        "%",
        "F1 of each label of one ability task, averaged by how often the label is the right one; no readable answer is "
        "wrong",
    ),
    Metric("ability_mcc", "ability", "higher", "%", "Matthews correlation of the labels given and right, times 100"),
    Metric(
        "ability_perplexity",
        "ability",
        "lower",
        "1",
        "perplexity per word of running text, read in windows of 512 tokens; takes no part in abilities_kept",
    ),
    Metric(
        "abilities_f1_kept",
        "ability",
        "higher",
        "%",
        "mean over ability tasks with labels of weighted F1 divided by the pristine model's",
    ),
    Metric(
        "endurance_editing",
        "endurance",
        "higher",
        "edits",
        "edits, interpolated between checkpoints, after which the main score (score_argmax, for ZsRE "
        "score_token_accuracy) of all edits so far first falls under 80 % of its value at the first checkpoint with "
        "edits; 0 if that value is 0",
    ),
    Metric(
        "endurance_abilities",
        "endurance",
        "higher",
        "edits",
        "edits, interpolated between checkpoints, after which abilities_kept first falls under 80 %",
    ),
    Metric("endurance", "endurance", "higher", "edits", "the smaller of endurance_editing and endurance_abilities"),
    Metric("half_life_editing", "endurance", "higher", "edits", "as endurance_editing, with 50 % in place of 80 %"),
    Metric("half_life_abilities", "endurance", "higher", "edits", "as endurance_abilities, with 50 % in place of 80 %"),
    Metric("half_life", "endurance", "higher", "edits", "the smaller of half_life_editing and half_life_abilities"),
    *(Metric(r.name, "diagnostic", r.direction, r.unit, r.text) for r in RECORDS),
    Metric("seconds_per_edit", "cost", "lower", "s", "wall seconds spent in the editor, divided by the edits"),
    Metric(
        "peak_memory_mb", "cost", "lower", "MB", "largest resident memory of the process during the run, 10^6 bytes"
    ),
)

SCORES: Mapping[str, tuple[str, str, str]] = {
    f"score_{form}": (f"efficacy_{form}", f"paraphrase_{form}", f"neighborhood_{form}")
    for form in ("preference", "argmax", "token_accuracy")
}
"""Score name → the three metrics whose harmonic mean it is."""

_STAGES = {"rewrite": "efficacy", "paraphrase": "paraphrase", "neighborhood": "neighborhood"}


def main_score(form: str) -> str:
    """The score that editing endurance is about, for a task of ``form`` ``counterfact`` or ``zsre``."""
    return "score_token_accuracy" if form == "zsre" else "score_argmax"


def metric(name: str) -> Metric:
    """The record of one metric; `KeyError` for a name that is not in `METRICS`."""
    return _BY_NAME[name]


_BY_NAME = {record.name: record for record in METRICS}


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

    @classmethod
    def from_columns(cls, columns: Mapping[str, ArrayLike]) -> Outcomes:
        """From columns by name (a dict of arrays or lists, a data frame); other columns are ignored."""
        types: dict[str, Any] = {"case_id": np.int64, "kind": np.str_}
        types |= {name: np.float64 for name in ("nll_new", "nll_true")}
        types |= {name: np.int64 for name in ("tokens_new", "tokens_true", "hits_new", "hits_true")}
        types |= {name: np.bool_ for name in ("exact_new", "exact_true")}
        return cls(**{name: np.asarray(columns[name]).astype(kind) for name, kind in types.items()})

    @classmethod
    def from_records(cls, records: Sequence[ProbeOutcome]) -> Outcomes:
        """From the results of `palimpsest.harness.scoring.score_cases`."""
        return cls.from_columns({name: [getattr(r, name) for r in records] for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class CaseTable:
    """Per-case values of every metric that is a mean over cases: the unit of the bootstrap."""

    case_ids: NDArray[np.int64]
    """Sorted, distinct; shape (cases,)."""
    values: Mapping[str, Floats]
    """Metric name → shape (cases,), in the metric's unit; NaN where the case has no such probe."""
    nonfinite_probes: int
    """How many probes had an NLL that is not finite."""

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
    return CaseTable(case_ids, values, int(failed.sum()))


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


def kept_share(score: ArrayLike, pristine: ArrayLike, chance: ArrayLike) -> Floats:
    """max(0, (score - chance) / (pristine - chance)), elementwise; NaN where the pristine model is not above chance."""
    score, pristine, chance = (np.asarray(value, dtype=np.float64) for value in (score, pristine, chance))
    above = pristine > chance
    share = np.maximum(0.0, (score - chance) / np.where(above, pristine - chance, 1.0))
    return np.where(above, share, np.nan)


def abilities_kept(scores: ArrayLike, pristine: ArrayLike, chance: ArrayLike) -> float:
    """Mean kept share over tasks, in percent; tasks not above chance on the pristine model are left out."""
    return 100.0 * nan_mean(kept_share(scores, pristine, chance))
