"""The table of all metrics, each with its exact definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from palimpsest.harness.metrics.diagnostic_definitions import RECORDS

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
_TOP = "share of {} that are the edited model's first choice, teacher-forced, the answer being what the unedited model "
_TOP += "says to the neighborhood prompt: its greedy continuation of as many tokens as the true target has"
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
    Metric("neighborhood_top", "argmax", "higher", "%", _TOP.format("answers all of whose tokens")),
    Metric("neighborhood_top_tokens", "argmax", "higher", "%", _TOP.format("the answer's tokens")),
    Metric(
        "fluency",
        "generation",
        "higher",
        "cbit",
        "((2/3) H2 + (4/3) H3) / 2 times 100, H_n the entropy of the n-grams of words of one sampled text; mean over "
        "the texts of a case",
        "counterfact",
    ),
    Metric(
        "consistency_own",
        "generation",
        "higher",
        "%",
        "cosine of the TF-IDF vectors of a case's sampled texts, joined, and of texts about the new object, which are "
        "made of the data's own prompts",
        "counterfact",
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


def metric(name: str) -> Metric:
    """The record of one metric; `KeyError` for a name that is not in `METRICS`."""
    return _BY_NAME[name]


_BY_NAME = {record.name: record for record in METRICS}
