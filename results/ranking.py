"""Ranks within one track, as intervals: two runs whose intervals overlap are not told apart.

The rule is described for readers in docs/ranking.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from palimpsest.harness.metrics import main_score
from palimpsest.results.rows import BoardRow, Interval

RANKED = ("complete", "collapsed")
"""Statuses of runs that are ranked."""


def ranked_rows(rows: Sequence[BoardRow], form: str) -> list[BoardRow]:
    """``rows`` of one track with their rank intervals, best first; runs that are not ranked come last.

    Args:
        rows: all runs of one track.
        form: of the track's task; decides which score orders the runs that outlasted the schedule.
    """
    score = main_score(form)
    ranked = [row for row in rows if _is_ranked(row)]
    result = []
    for row in rows:
        if not _is_ranked(row):
            result.append(replace(row, rank_low=None, rank_high=None))
            continue
        better = sum(_surely_better(other, row, score) for other in ranked)
        worse = sum(_surely_better(row, other, score) for other in ranked)
        result.append(replace(row, rank_low=1 + better, rank_high=len(ranked) - worse))
    return sorted(result, key=lambda row: _order(row, score))


def resolution(rows: Sequence[BoardRow], form: str) -> float | None:
    """Difference of the main score, in points, from which two typical rows' intervals no longer overlap.

    It is twice the median half width of the intervals of the ranked rows that reached the end; None without any.
    """
    intervals = [_final(row, main_score(form)) for row in rows if row.status == "complete"]
    widths = sorted(i.high - i.low for i in intervals if i.low is not None and i.high is not None)
    if not widths:
        return None
    middle = len(widths) // 2
    return widths[middle] if len(widths) % 2 else (widths[middle - 1] + widths[middle]) / 2


def _is_ranked(row: BoardRow) -> bool:
    measured = row.endurance.edits is not None or row.endurance.censored_at is not None
    return row.status in RANKED and measured


def _order(row: BoardRow, score: str) -> tuple[object, ...]:
    if not _is_ranked(row):
        return (2, 0.0, -row.edits_done, row.editor, row.seed, row.run_id)
    if row.endurance.edits is None:
        value = _final(row, score).value
        return (0, math.inf if value is None else -value, 0, row.editor, row.seed, row.run_id)
    return (1, -row.endurance.edits, 0, row.editor, row.seed, row.run_id)


def _surely_better(one: BoardRow, other: BoardRow, score: str) -> bool:
    """Whether the interval of ``one`` lies wholly above that of ``other``."""
    if one.endurance.edits is None and other.endurance.edits is None:
        one_low, _ = _bounds(_final(one, score))
        _, other_high = _bounds(_final(other, score))
        return one_low > other_high
    one_low, _ = _endurance_bounds(one)
    _, other_high = _endurance_bounds(other)
    return one_low > other_high


def _final(row: BoardRow, score: str) -> Interval:
    return row.metrics.get(score, Interval(None))


def _bounds(interval: Interval) -> tuple[float, float]:
    if interval.value is None:
        return -math.inf, math.inf
    low = interval.value if interval.low is None else interval.low
    high = interval.value if interval.high is None else interval.high
    return low, high


def _endurance_bounds(row: BoardRow) -> tuple[float, float]:
    """Interval of the endurance; without a bootstrap interval the value itself, open above when it is ``> N``."""
    value = row.endurance
    if value.low is not None:
        return value.low, math.inf if value.high is None else value.high
    if value.edits is not None:
        return value.edits, value.edits
    return float(value.censored_at or 0), math.inf
