"""The search of a tuning: a survey, then axis by axis from the best setting so far, the same for every editor.

The published setting comes first. Strength and bound of an edit are only good together, so a survey then spreads
settings over all axes of numbers at once, the others as published. From the best setting so far the next value along an
axis is tried, first towards the longer side of its list. While that is better the search goes on, beyond the list, too;
where the first try is worse, the other side is tried. After the last axis comes the first again, and when no neighbour
is better any more, all goes on with half the step, then a quarter. It ends with the budget. What is tried next follows
from the trials so far alone, so that a search which was interrupted goes on as if it had not been.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from palimpsest.cli.tuning.axes import Axis
from palimpsest.cli.tuning.trials import Trial, chosen, to_beat

Places = tuple[float, ...]
"""The place on each axis."""
STEPS = (1.0, 0.5, 0.25)
SURVEYED = 6
"""Settings of the survey for each axis of numbers; there is none for a single axis."""


@dataclass(frozen=True, slots=True)
class Next:
    """The trial that comes next."""

    config: dict[str, Any]
    to_beat: float | None
    """Effective edits that it must be able to reach, or it is stopped; None: it is not stopped."""


class Search:
    """The search along some axes."""

    def __init__(
        self,
        axes: Sequence[Axis],
        fits: Callable[[Mapping[str, Any]], bool],
        budget: int,
        edits: int,
        little: float = 0.0,
    ) -> None:
        """Set up.

        Args:
            axes: The most important first.
            fits: Tells if an editor takes a configuration; what it does not take lies beyond an end.
            budget: Whole trials. One that was stopped counts for its share of the edits.
            edits: Of a whole trial.
            little: Effective edits; a best trial with no more holds next to nothing and shows no direction. Then no
                trial is stopped, and the search goes on along an axis up to the end of its list.
        """
        self.axes = tuple(axes)
        self._fits = fits
        self._budget = budget
        self._edits = edits
        self.little = little

    @property
    def published(self) -> Places:
        """Start of the search."""
        return tuple(float(axis.published) for axis in self.axes)

    def config(self, places: Places) -> dict[str, Any]:
        """Field → value."""
        return {axis.name: axis.value(place) for axis, place in zip(self.axes, places, strict=True)}

    def replay(self, known: Mapping[str, Trial]) -> tuple[dict[Places, Trial], Next | None]:
        """The trials of the search as far as they are known, in order, and what comes next; None where it has ended.

        Args:
            known: `key` of the configuration → trial. One that was stopped where it need not be now is not known.
        """
        tried: dict[Places, Trial] = {}
        walk = self._walk()
        places = next(walk)
        while sum(trial.share(self._edits) for trial in tried.values()) < self._budget:
            config, least = self.config(places), to_beat(tried.values(), self.little)
            trial = known.get(key(config))
            if trial is None or not (trial.complete or _hopeless(trial, least)):
                return tried, Next(config, least)
            tried[places] = trial
            try:
                places = walk.send(trial)
            except StopIteration:
                break
        return tried, None

    def _walk(self) -> Generator[Places, Trial, None]:
        """Yields places to be tried and is sent their trials."""
        walker = _Walker(self, self.published, (yield self.published))
        for places in self._survey():
            yield from walker.look_at(places)
        for size in STEPS:
            moved = True
            while moved:
                moved = False
                for number in range(len(self.axes)):
                    moved = (yield from walker.either_way(number, size)) or moved

    def _survey(self) -> list[Places]:
        """A Latin hypercube over the axes of numbers: each value as often as any other of its axis, or one more."""
        numbers = [number for number, axis in enumerate(self.axes) if axis.numeric]
        count = SURVEYED * len(numbers) if len(numbers) > 1 else 0
        columns: list[list[float]] = []
        for number, axis in enumerate(self.axes):
            column = [float(self.published[number])] * count
            if number in numbers:
                column = [float(point * len(axis.values) // count) for point in range(count)]
                random.Random(axis.name).shuffle(column)  # noqa: S311 – always the same, and no secret
            columns.append(column)
        return list(zip(*columns, strict=True))

    def exists(self, places: Places) -> bool:
        """True if there is a configuration at these places, and the editor takes it."""
        config = self.config(places)
        return None not in config.values() and self._fits(config)

    def chosen(self, tried: Mapping[Places, Trial]) -> Trial:
        """The trial that the preset is made of."""
        place_of = {id(trial): places for places, trial in tried.items()}

        def steps(trial: Trial) -> float:
            return sum(abs(a - b) for a, b in zip(place_of[id(trial)], self.published, strict=True))

        return chosen(list(tried.values()), steps)

    def optimum(self, tried: Mapping[Places, Trial], trial: Trial) -> dict[str, str]:
        """Axis → where the value of a trial lies on it.

        ``inside``: values on both sides were tried; ``end``: so they were, as far as there are any; ``edge``: the
        budget ended before; ``untried``: there is another value, and none was tried.
        """
        at = next(places for places, one in tried.items() if one is trial)
        found = {}
        for number, axis in enumerate(self.axes):
            others = {places[number] for places in tried} - {at[number]}
            sides = [[p for p in others if p < at[number]], [p for p in others if p > at[number]]]
            beyond = [_shifted(at, number, step) for step in (-1.0, 1.0)]
            open_ends = [not side and self.exists(there) for side, there in zip(sides, beyond, strict=True)]
            found[axis.name] = (
                "inside" if all(sides) else "end" if not any(open_ends) else "edge" if others else "untried"
            )
        return found


class _Walker:
    """Stands on the best place so far."""

    def __init__(self, search: Search, centre: Places, best: Trial) -> None:
        self._search = search
        self._centre = centre
        self._best = best
        self._seen = {key(search.config(centre))}

    def look_at(self, places: Places) -> Generator[Places, Trial, None]:
        """Try a place anywhere, and stand there from now on if it is better."""
        if self._is_new(places):
            yield from self._tried(places)

    def either_way(self, number: int, size: float) -> Generator[Places, Trial, bool]:
        """Go along one axis as long as it gets better; true if it did."""
        last, here = len(self._search.axes[number].values) - 1, self._centre[number]
        longer = 1 if last - here >= here else -1
        # Where the first way was better, the other one is where it came from.
        return (yield from self._along(number, longer * size)) or (yield from self._along(number, -longer * size))

    def _along(self, number: int, step: float) -> Generator[Places, Trial, bool]:
        here, moved = self._centre, False
        while self._is_new(there := _shifted(here, number, step)):
            if (yield from self._tried(there)):
                moved = True
            elif self._best.effective_edits > self._search.little or not self._listed(there, number):
                break
            here = there
        return moved

    def _tried(self, there: Places) -> Generator[Places, Trial, bool]:
        """Try a place, and stand there from now on if it is better; true if it is."""
        self._seen.add(key(self._search.config(there)))
        trial = yield there
        better = trial.complete and trial.effective_edits > self._best.effective_edits
        if better:
            self._centre, self._best = there, trial
        return better

    def _listed(self, there: Places, number: int) -> bool:
        return 0 <= there[number] <= len(self._search.axes[number].values) - 1

    def _is_new(self, there: Places) -> bool:
        return self._search.exists(there) and key(self._search.config(there)) not in self._seen


def key(config: Mapping[str, Any]) -> str:
    """Name of a configuration among trials."""
    return json.dumps(config, sort_keys=True)


def _shifted(places: Places, number: int, by: float) -> Places:
    return (*places[:number], places[number] + by, *places[number + 1 :])


def _hopeless(trial: Trial, least: float | None) -> bool:
    return least is not None and trial.at_most is not None and trial.at_most < least
