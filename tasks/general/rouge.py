"""ROUGE of a summary against its reference: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries".

Words are runs of letters a to z and digits, in lower case; no stemming. F is the harmonic mean of precision and recall.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"[a-z0-9]+")


def mean_rouge(summary: str, reference: str) -> float:
    """Mean of the F of ROUGE-1, ROUGE-2 and ROUGE-L, 0..1; 0 for a summary without words."""
    one, other = _WORD.findall(summary.lower()), _WORD.findall(reference.lower())
    return (rouge_n(one, other, 1) + rouge_n(one, other, 2) + rouge_l(one, other)) / 3


def rouge_n(summary: Sequence[str], reference: Sequence[str], n: int) -> float:
    """F of runs of ``n`` words, each counted as often as both texts have it."""
    one, other = (Counter(zip(*(words[i:] for i in range(n)), strict=False)) for words in (summary, reference))
    return _f(sum((one & other).values()), sum(one.values()), sum(other.values()))


def rouge_l(summary: Sequence[str], reference: Sequence[str]) -> float:
    """F of the longest common subsequence of words."""
    longest = [0] * (len(reference) + 1)
    for word in summary:
        before = 0  # the cell above and to the left
        for i, other in enumerate(reference, 1):
            before, longest[i] = longest[i], before + 1 if word == other else max(longest[i], longest[i - 1])
    return _f(longest[-1], len(summary), len(reference))


def _f(common: int, summary: int, reference: int) -> float:
    return 2 * common / (summary + reference) if common else 0.0
