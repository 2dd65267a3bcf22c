"""Outcome of one item of an ability task, from what lm-eval logs about it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from palimpsest.harness.errors import ConfigError
from palimpsest.harness.specs.run_spec import AbilityRef

ROUGE = "rouge"
"""Metric of ability tasks whose items are right by degrees, 0..1."""
_SHARES = ("acc", "exact_match", "em")
"""Metrics of lm-eval that are 0 or 1 for each item."""


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """One item of an ability task."""

    item: int
    """Number of the item within its task, from 0."""
    correct: bool
    """The right choice or answer was given, and every likelihood it rests on is finite; for running text, only that."""
    predicted: int | None = None
    """The label that was given; -1: none could be read. None: the task has no labels."""
    label: int | None = None
    """The right label; None: the task has none, or several."""
    log_likelihood: float | None = None
    """Log-likelihood of running text, in nats."""
    words: int | None = None
    """Number of words of running text."""
    score: float | None = None
    """Degree to which the item is right, 0..1, where the task's metric has degrees; None: ``correct`` says all."""


def metric_of(task: Any, sample: Mapping[str, Any]) -> str:
    """Metric that a task's items are scored by, as lm-eval or the task itself calls it."""
    if task.OUTPUT_TYPE != "generate_until":
        return PERPLEXITY if task.OUTPUT_TYPE == "loglikelihood_rolling" else "acc"
    return next((name for name in (*_SHARES, ROUGE) if name in sample), "acc")


def outcome_of(task: Any, sample: Mapping[str, Any], item: int, tokens: Callable[[str, str], int]) -> ItemOutcome:
    """The outcome of one logged sample of one of lm-eval's tasks.

    Args:
        task: Of lm-eval. If its metadata say ``per_token``, likelihoods are compared per token, else in sum.
        sample: As lm-eval logs it.
        item: Number of the item within the task.
        tokens: Counts those of a continuation behind its context.

    Raises:
        ConfigError: The task's kind or metrics say nothing about single items.
    """
    match task.OUTPUT_TYPE:
        case "multiple_choice":
            return _choice(task, sample, item, tokens)
        case "loglikelihood":
            log_likelihood, greedy = sample["filtered_resps"][0]
            return ItemOutcome(item, bool(greedy) and math.isfinite(log_likelihood))
        case "loglikelihood_rolling":
            log_likelihood, words = float(sample[PERPLEXITY][0]), int(sample[PERPLEXITY][1])
            finite = math.isfinite(log_likelihood)
            return ItemOutcome(item, finite, log_likelihood=log_likelihood, words=words)
        case "generate_until":
            return _generated(task, sample, item)
    raise ConfigError(f"Ability task {task.task_name!r}: output_type {task.OUTPUT_TYPE!r} is not supported.")


def _choice(task: Any, sample: Mapping[str, Any], item: int, tokens: Callable[[str, str], int]) -> ItemOutcome:
    responses = sample["filtered_resps"]
    # Without this a broken model would be right wherever the first choice is, as argmax of NaN gives the first.
    finite = all(math.isfinite(value) for value, _ in responses)
    choices = task.doc_to_choice(sample["doc"])
    values = [value for value, _ in responses][: len(choices)]
    if (task.config.metadata or {}).get("per_token"):
        values = [value / tokens(*pair) for value, pair in zip(values, sample["arguments"], strict=False)]
    predicted = max(range(len(values)), key=values.__getitem__) if finite else -1
    gold = task.doc_to_text(sample["doc"]) if task.multiple_input else sample["target"]
    labels = [_label(task, one, choices, item) for one in (gold if isinstance(gold, list) else [gold])]
    if isinstance(gold, list):
        return ItemOutcome(item, predicted in labels, predicted)
    return ItemOutcome(item, predicted == labels[0], predicted, labels[0])


def _label(task: Any, gold: Any, choices: Sequence[str], item: int) -> int:
    """The number of the right choice; lm-eval would count an item without one as answered wrongly."""
    found = choices.index(gold) if isinstance(gold, str) and gold in choices else gold
    if isinstance(found, str) or not 0 <= int(found) < len(choices):
        raise ConfigError(
            f"Ability task {task.task_name!r}, item {item}: its right choice is {str(gold)[:60]!r}, which is not among "
            f"its {len(choices)} choices."
        )
    return int(found)


def _generated(task: Any, sample: Mapping[str, Any], item: int) -> ItemOutcome:
    metric = metric_of(task, sample)
    value = sample.get(metric)
    if not isinstance(value, int | float) or not (0 <= value <= 1 if metric == ROUGE else value in (0, 1)):
        raise ConfigError(
            f"Ability task {task.task_name!r}: expected a metric that is 0 or 1 for each item ({', '.join(_SHARES)}), "
            f"or {ROUGE} between them; it has {', '.join(sample['metrics'])}."
        )
    if metric == ROUGE:
        return ItemOutcome(item, value == 1, score=float(value))
    if "predicted" not in sample:
        return ItemOutcome(item, bool(value))
    return ItemOutcome(item, bool(value), int(sample["predicted"]), int(sample["target"]))


def score_of(metric: str, items: Sequence[ItemOutcome]) -> float:
    """Share of right items, or mean of their degrees; of running text, the perplexity per word of all items."""
    if metric != PERPLEXITY:
        return sum(item.correct if item.score is None else item.score for item in items) / len(items)
    total = sum(item.log_likelihood or 0.0 for item in items)
    words = sum(item.words or 0 for item in items)
    if not all(item.correct for item in items) or not words or -total / words > 700:
        return math.inf
    return math.exp(-total / words)


def mean_chance(tasks: Sequence[Any]) -> float:
    """Share that guessing gets: one over the number of choices, mean over the items; 0 for tasks without choices."""
    shares = [
        1 / len(task.doc_to_choice(doc)) if task.OUTPUT_TYPE == "multiple_choice" else 0.0
        for task in tasks
        for doc in task.eval_docs
    ]
    return sum(shares) / len(shares)


PERPLEXITY = "word_perplexity"
"""Metric of ability tasks that are running text: no share of right items."""


@dataclass(frozen=True, slots=True)
class AbilityOutcome:
    """One ability task at one moment."""

    name: str
    metric: str
    """``acc``, ``exact_match`` or ``em``: items are right or wrong; ``rouge``; ``word_perplexity`` for running text."""
    score: float
    """Share of right items, or mean ROUGE, 0..1; or perplexity per word."""
    chance: float
    """Share that guessing would get, 0..1; from the task's metadata, else from its numbers of choices."""
    items: tuple[ItemOutcome, ...]
    items_hash: str = ""
    """SHA-256 of the rendered questions: whether two outcomes are of the same items."""


@dataclass(frozen=True, slots=True)
class AbilitySource:
    """Place where lm-eval finds one ability task."""

    name: str
    folder: Path | None
    """Folder with its YAML; None: lm-eval's own."""
    shots: int | None = None
    """Examples before each item; None: as the task says."""


class AbilityFinder(Protocol):
    """Finds ability tasks by name; `tasks.ability_library.AbilityLibrary` is the real one."""

    @property
    def data(self) -> Sequence[Path]:
        """Folders with the items of tasks that ship without them."""

    @property
    def brought(self) -> Sequence[Path]:
        """Files of tasks that were named by folder or file; a name each, in another process."""

    def refs(self, names: Sequence[str], limit: int | None) -> tuple[AbilityRef, ...]:
        """References to the tasks of these names, at most ``limit`` items of each; None: as the task says.

        Raises:
            UsageError: There is no such task.
            MissingResource: Its items are not here.
        """

    def source(self, ref: AbilityRef) -> AbilitySource:
        """Place of the task of a reference.

        Raises:
            ConfigError: Its files are not those that the reference was made from.
        """
