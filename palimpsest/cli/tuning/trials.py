"""Trials: what one configuration reached on the tuning split, and which of several is chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Point:
    """One checkpoint of a trial; all shares in percent, None where nothing was measured."""

    edits: int
    quality: float | None
    """h, of which effective edits are the area."""
    efficacy: float | None
    paraphrase: float | None
    neighborhood: float | None
    abilities_kept: float | None


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration and what it reached."""

    config: dict[str, Any]
    """Values of the axes."""
    effective_edits: float
    """Area under h; in a trial that was stopped, up to there."""
    points: tuple[Point, ...]
    cpu_seconds: float
    collapsed_at: int | None = None
    """Good edits before the editor failed or the model collapsed."""
    failure: str | None = None
    stopped_at: int | None = None
    """Edits after which the trial was stopped, because it could not come up to the best one any more."""
    at_most: float | None = None
    """Effective edits that a stopped trial would have if h stayed as it was there."""
    draws: tuple[float, ...] = ()
    """Effective edits in each resample; the same cases and items are drawn for every trial."""

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Trial:
        """From what `dataclasses.asdict` made of one.

        Raises:
            TypeError, KeyError: It is no trial.
        """
        points = tuple(Point(**point) for point in stored["points"])
        return cls(**{**stored, "points": points, "draws": tuple(stored["draws"])})

    @property
    def complete(self) -> bool:
        """False for a trial that was stopped."""
        return self.stopped_at is None

    def share(self, edits: int) -> float:
        """Share of the edits of a whole trial that it made; one that failed counts as whole."""
        return 1.0 if self.stopped_at is None else self.stopped_at / edits


def spread(draws: Sequence[float]) -> float:
    """The standard error that resamples show; 0 where there are none."""
    return float(np.std(draws, ddof=1)) if len(draws) > 1 else 0.0


def standard_error(one: Trial, other: Trial) -> float:
    """Standard error of the difference of two trials, paired by case and item; 0 where they have no common draws."""
    if len(one.draws) != len(other.draws):
        return 0.0
    return spread([a - b for a, b in zip(one.draws, other.draws, strict=True)])


def best(trials: Iterable[Trial]) -> Trial | None:
    """The complete trial with the most effective edits, the earlier one of several; None where there is none."""
    return max((trial for trial in trials if trial.complete), key=lambda trial: trial.effective_edits, default=None)


def to_beat(trials: Iterable[Trial], little: float = 0.0) -> float | None:
    """Effective edits that a further trial must be able to reach: one standard error less than the best one has.

    None where the best one has no more than ``little``: then there is nothing to be measured by.
    """
    found = best(trials)
    return None if found is None or found.effective_edits <= little else found.effective_edits - spread(found.draws)


def chosen(trials: Sequence[Trial], distance: Callable[[Trial], float]) -> Trial:
    """The complete trial nearest to the published setting among those within one standard error of the best.

    Args:
        trials: At least one of them complete.
        distance: Steps between a trial and the published setting.
    """
    top = best(trials)
    assert top is not None
    tied = [
        trial
        for trial in trials
        if trial.complete and top.effective_edits - trial.effective_edits <= standard_error(top, trial)
    ]
    return min(tied, key=lambda trial: (distance(trial), -trial.effective_edits))
