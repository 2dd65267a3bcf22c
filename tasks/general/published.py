"""Readings of generated answers as the published code of the editing papers has them, task by task.

`sst2` to `dialogue` are of ``glue_eval`` in jianghoucheng/AlphaEdit (commit f5248d3), which AlphaEdit, NSE, SPHERE and
REVIVE take their GLUE scores from: substrings, in a fixed order, of up to five greedy tokens. The others are of RECT
(JasonForJoy/Model-Editing-Hurt, 8f8d4dc), PRUNE (mjy1111/PRUNE, 046c2a6) and SPHERE (PlusLabNLP/SPHERE, 6e8978a).
"""

from __future__ import annotations

from palimpsest.tasks.general.reading import (
    answer_contained,
    contained,
    exactly,
    number_contained,
    right_one_contained,
    summarized,
)

_YES_NO = {"yes": 1, "no": 0}
_SENTIMENT = {"positive": 1, "negative": 0}
_TRUE_FALSE = {"true": 1, "false": 0}
_LETTERS = {"a\n": 0, "b\n": 1, "c\n": 2, "d\n": 3}
"""A letter counts only at the end of a line, in any case, and also as the end of a word."""

sst2 = contained(_SENTIMENT, behind="Sentiment :")
mrpc = contained(_YES_NO, behind="Answer:")
cola = contained(_YES_NO, behind="Answer:")
rte = contained({"false": 0, "true": 1}, behind="answer:")
"""Label 0 is entailment in GLUE, so *False* counts as right where the second sentence follows from the first."""
mmlu = contained(_LETTERS)
nli = contained(_TRUE_FALSE, behind="True or False? Answer:")
sentiment = contained(_SENTIMENT, behind="answer:")
dialogue = contained(_LETTERS)

reasoning = number_contained(behind="Therefore, the answer (arabic numerals) is:")
nli_of_rect = contained(_TRUE_FALSE, behind="answer:")
closed_qa_of_rect = exactly(_YES_NO)
closed_qa_of_sphere = contained(_YES_NO, behind="answer: ")
open_qa = answer_contained(behind="Answer:")
dialogue_of_rect = right_one_contained("ABCD")
summarization = summarized(behind="DR:")
