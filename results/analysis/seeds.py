"""Runs that differ by their seed alone, taken together: grouping, and intervals over cases and seeds.

The value of a row is the mean over its seeds. Where each seed draws cases of its own, the spread between seeds holds
that of cases, and s² / k of the k values is all the variance there is, with Student's quantile for k − 1. Where seeds
are asked the same prompts or ability items, averaging does not reduce what drawing others would do, so that is added;
the degrees of freedom are then Satterthwaite's. Either way two seeds which disagree give the wide interval that they
deserve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy import special

from palimpsest.results.records import BoardRow, EditsUntil, Interval

_NORMAL = 1.959963984540054


def by_row(runs: Sequence[BoardRow]) -> dict[str, list[BoardRow]]:
    """Runs by their row, in the order in which rows first appear; within a row by seed."""
    groups: dict[str, list[BoardRow]] = {}
    for run in runs:
        groups.setdefault(run.row_id or run.run_id, []).append(run)
    return {key: sorted(group, key=lambda r: (r.seed, r.run_id)) for key, group in groups.items()}


def student_quantile(freedom: float, share: float = 0.975) -> float:
    """Quantile of Student's t; the normal one for infinite degrees of freedom."""
    return _NORMAL if math.isinf(freedom) and share == 0.975 else float(special.stdtrit(min(freedom, 1e9), share))


def half_width(case_half: float, values: Sequence[float], *, own_cases: bool = False) -> float:
    """Half of the 95 % interval of the mean of ``values`` over seeds.

    Args:
        case_half: half width from drawing cases alone (the mean of the runs' own).
        values: one per seed.
        own_cases: Whether each seed has cases of its own. Where these agree in full, they are one large sample.
    """
    count = len(values)
    if count < 2:
        return case_half
    mean = sum(values) / count
    seeds = sum((value - mean) ** 2 for value in values) / (count - 1) / count
    if seeds == 0:
        return case_half / math.sqrt(count) if own_cases else case_half
    cases = 0.0 if own_cases else (case_half / _NORMAL) ** 2
    freedom = (cases + seeds) ** 2 / (seeds**2 / (count - 1))
    return student_quantile(freedom) * math.sqrt(cases + seeds)


def combine(
    intervals: Sequence[Interval],
    *,
    own_cases: bool = False,
    least: float | None = 0.0,
    most: float | None = 100.0,
) -> Interval:
    """The mean of one metric over seeds, with its interval over cases and seeds, cut to ``least`` … ``most``.

    One measured value stays as it is; what was not measured takes no part. ``own_cases`` is that of `half_width`.
    """
    known = [one for one in intervals if one.value is not None]
    if len(known) < 2:
        return known[0] if known else Interval(None)
    values = [one.value for one in known if one.value is not None]
    mean = sum(values) / len(values)
    halves = [(one.high - one.low) / 2 for one in known if one.low is not None and one.high is not None]
    half = half_width(sum(halves) / len(halves) if halves else 0.0, values, own_cases=own_cases)
    low = mean - half if least is None else min(mean, max(least, mean - half))
    high = mean + half if most is None else max(mean, min(most, mean + half))
    return Interval(mean, low, high, min(one.n for one in known))


def combine_until(values: Sequence[EditsUntil], *, own_cases: bool = False) -> EditsUntil:
    """Mean over seeds; runs that never fell under the limit enter with their end and make it a lower bound.

    If none of them fell, neither did the row. If some did not, ``edits`` is a lower bound and ``censored_at`` is set.
    """
    known = [v for v in values if v.edits is not None or v.censored_at is not None]
    if len(known) < 2:
        return known[0] if known else EditsUntil()
    ends = [v.censored_at for v in known if v.edits is None and v.censored_at is not None]
    numbers = [v.edits if v.edits is not None else float(v.censored_at or 0) for v in known]
    lows = [v.low for v in known if v.low is not None]
    if len(ends) == len(known):
        return EditsUntil(None, min(ends), min(lows) if lows else None, None)
    spans = [(v.low, v.high if v.high is not None else v.censored_at) for v in known if v.low is not None]
    halves = [(high - low) / 2 for low, high in spans if low is not None and high is not None]
    mean = sum(numbers) / len(numbers)
    half = half_width(sum(halves) / len(halves) if halves else 0.0, numbers, own_cases=own_cases)
    open_above = bool(ends) or any(v.low is not None and v.high is None for v in known)
    return EditsUntil(mean, max(ends) if ends else None, max(0.0, mean - half), None if open_above else mean + half)
