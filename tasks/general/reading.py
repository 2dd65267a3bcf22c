"""Readers of generated answers: what an answer says, and whether it is right.

A reader is handed to lm-eval as a task's ``process_results``: it takes an item and its answers, of which there is one,
and gives the item's metric and, where items have labels, the label that was read.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from palimpsest.tasks.general.rouge import mean_rouge

Reader = Callable[[Mapping[str, Any], Sequence[str]], dict[str, Any]]
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def contained(answers: Mapping[str, int], *, behind: str = "") -> Reader:
    """Reader of the first of some words, in the order given, that an answer contains anywhere, in any case.

    " negative, not positive" says positive if that is asked for first; " nobody" says no.

    Args:
        answers: Word in lower case → label.
        behind: Text that the prompt ends with; of an answer that repeats it, only what comes behind it is read.
    """

    def read(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
        text = _behind(results[0], behind).lower()
        return _labelled(doc, next((label for word, label in answers.items() if word in text), -1))

    return read


def exactly(answers: Mapping[str, int]) -> Reader:
    """Reader of an answer that is one of some words and nothing else, in any case, with or without spaces around it."""
    return lambda doc, results: _labelled(doc, answers.get(results[0].strip().lower(), -1))


def right_one_contained(words: Sequence[str]) -> Reader:
    """Reader that takes an answer for right if it contains the right word, whatever else; the case counts."""

    def read(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
        found = [label for label, word in enumerate(words) if word in results[0]]
        return _labelled(doc, doc["label"] if doc["label"] in found else found[0] if found else -1)

    return read


def number_contained(*, behind: str) -> Reader:
    """Reader that takes an answer for right if it contains the item's number: 18 is contained in 180, too."""
    return lambda doc, results: {"acc": float(doc["number"] in _behind(results[0], behind).strip())}


def final_number(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """Read the number behind ``####``, without ``,``, ``$`` and a full stop; it must be the item's."""
    found = re.search(r"#### (-?[0-9.,]+)", results[0])
    plain = [re.sub(r"[,$]|\.$", "", text.strip()) for text in (found[1] if found else "", doc["number"])]
    return {"exact_match": float(found is not None and plain[0] == plain[1])}


def normalized(text: str) -> str:
    """A short answer in lower case, without ASCII punctuation and the articles a, an, the; one space between words."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def answer_given(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """Exact match: the answer, normalised, is one of the item's."""
    return {"exact_match": float(normalized(results[0]) in map(normalized, doc["answers"]))}


def answer_contained(*, behind: str) -> Reader:
    """Reader of the papers' exact match: some run of the answer's words is, normalised, one of the item's answers."""

    def read(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
        words = normalized(_behind(results[0], behind)).split()
        wanted = {normalized(answer) for answer in doc["answers"]}
        starts = range(len(words))
        runs = (" ".join(words[i:j]) for i in starts for j in range(i + 1, len(words) + 1))
        return {"em": float(any(run in wanted for run in runs))}

    return read


def summarized(*, behind: str) -> Reader:
    """Reader of summaries; see `palimpsest.tasks.general.rouge`."""
    return lambda doc, results: {"rouge": mean_rouge(_behind(results[0], behind), doc["summary"])}


def _labelled(doc: Mapping[str, Any], predicted: int) -> dict[str, Any]:
    return {"acc": float(predicted == doc["label"]), "predicted": predicted}


def _behind(text: str, mark: str) -> str:
    return text.rpartition(mark)[2] if mark else text
