"""Generated answers are read as the published code of the papers reads them, with examples of our own."""

from __future__ import annotations

from typing import Any

import pytest

from palimpsest.tasks.general import published
from palimpsest.tasks.general.reading import Reader, answer_given, final_number, normalized


def label_of(reader: Reader, answer: str, label: int = 1) -> int:
    found = reader({"label": label}, [answer])
    assert found["acc"] == float(found["predicted"] == label)
    return int(found["predicted"])


@pytest.mark.parametrize(
    ("task", "answer", "label"),
    [
        ("sst2", " positive", 1),
        ("sst2", " Negative\nReview", 0),
        ("sst2", " negative, not positive", 1),  # positive is looked for first
        ("sst2", " unpositively", 1),  # a part of a word will do
        ("sst2", " good", -1),
        ("sst2", "", -1),
        ("sst2", " positive\nSentiment : negative", 0),  # only what stands behind the mark that ends the prompt
        ("mrpc", " YES", 1),
        ("mrpc", " I do not know", 0),  # not contains no
        ("mrpc", " No, but yes", 1),
        ("mrpc", " Maybe", -1),
        ("cola", "No.", 0),
        ("cola", " eyes", 1),
        ("rte", " True, not false", 0),  # false is looked for first
        ("rte", " true", 1),
        ("rte", " untrue", 1),
        ("nli", " False or true", 1),  # and here true
        ("nli", " falsehood", 0),
        ("nli", " entailed", -1),
        ("mmlu", " A", -1),  # without the end of a line it is no answer
        ("mmlu", " A\n", 0),
        ("mmlu", " b\n\n", 1),
        ("mmlu", " banana\n", 0),  # the end of a word will do
        ("mmlu", " D\nA\n", 0),  # A is looked for first
        ("mmlu", " (C) red\n", 3),
        ("sentiment", " negative", 0),
        ("dialogue", " C\n", 2),
        ("dialogue", "C", -1),
        ("nli_of_rect", " True", 1),
        ("closed_qa_of_rect", " Yes", 1),
        ("closed_qa_of_rect", " yesterday", -1),
        ("closed_qa_of_sphere", " yesterday", 1),
        ("closed_qa_of_sphere", " not", 0),
    ],
)
def test_labels_are_found_as_published(task: str, answer: str, label: int) -> None:
    assert label_of(getattr(published, task), answer) == label


@pytest.mark.parametrize(
    ("answer", "right", "predicted"), [(" B", 1, 1), (" AB", 1, 1), (" AB", 2, 0), (" b", 1, -1), ("", 0, -1)]
)
def test_rects_dialogue_is_right_if_the_right_letter_is_there(answer: str, right: int, predicted: int) -> None:
    assert label_of(published.dialogue_of_rect, answer, right) == predicted


@pytest.mark.parametrize(
    ("answer", "right"), [(" 18.", 1), (" $180", 1), (" 1 8", 0), ("", 0), (" 17, no: 18", 1), (" eighteen", 0)]
)
def test_a_number_counts_wherever_it_is_contained(answer: str, right: int) -> None:
    assert published.reasoning({"number": "18"}, [answer]) == {"acc": right}


@pytest.mark.parametrize(
    ("answer", "number", "right"),
    [
        (" 3 + 4 = 7\n#### 7", "7", 1),
        (" #### 1,200.", "1200", 1),
        (" #### $7", "7", 0),  # as lm-eval's strict match: a number must follow at once
        (" #### 70", "7", 0),
        (" it is 7", "7", 0),
        (" #### -3\n#### 4", "-3", 1),
    ],
)
def test_the_final_number_stands_behind_its_mark(answer: str, number: str, right: int) -> None:
    assert final_number({"number": number}, [answer]) == {"exact_match": right}


ANSWERS = ["The Old Bridge", "Mostar's bridge"]


@pytest.mark.parametrize(
    ("answer", "contained", "given"),
    [
        (" the Old Bridge.", 1, 1),
        (" It is an old bridge of stone", 1, 0),  # articles and case do not count
        (" bridge old", 0, 0),
        (" Mostars bridge!", 1, 1),
        (" old stone bridge", 0, 0),
        ("", 0, 0),
        (" the", 0, 0),
        (" rivers Answer: old bridge", 1, 0),
    ],
)
def test_free_answers_match_in_some_run_of_words_or_as_a_whole(answer: str, contained: int, given: int) -> None:
    doc: dict[str, Any] = {"answers": ANSWERS}
    assert published.open_qa(doc, [answer]) == {"em": contained}
    assert answer_given(doc, [answer]) == {"exact_match": given}


def test_answers_are_normalised() -> None:
    assert normalized(" An  apple, a day;\nthe Theatre") == "apple day theatre"
