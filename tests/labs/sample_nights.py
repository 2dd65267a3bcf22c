"""Made-up nights: four of them, with a number that moves, one that is new and one that is gone."""

from __future__ import annotations

from pathlib import Path

from palimpsest.results.nights import NAME, Night, Number, write_night
from tests.labs.sample_source import HOSTILE

DAYS = ("2026-03-09", "2026-03-10", "2026-03-12", "2026-03-13")
TRACK = "abcdef012345"


def night(place: int, *, hostile: bool = False) -> Night:
    """One of the nights; MEMIT's score falls in the last one, and FT-L's efficacy is no longer measured."""
    editors = ((HOSTILE[0], HOSTILE[1]) if hostile else ("my-editor", "my-editors"), ("memit", "palimpsest-bench"))
    numbers = []
    for editor, distribution in (*editors, ("ft-l", "palimpsest-bench")):
        for seed in (0, 1):
            for metric, value in (("score_argmax", 61.0), ("effective_edits", 340.0), ("seconds_per_edit", 0.12)):
                moved = 11.0 if (editor, metric, place) == ("memit", "score_argmax", 3) else 0.0
                change = 0.3 * place + seed - moved
                numbers.append(number(editor, distribution, seed, metric, value + change))
    if place < 3:
        numbers.append(number("ft-l", "palimpsest-bench", 0, "efficacy_argmax", 70.0))
    words = HOSTILE[4] if hostile else "pocket-llama, pocket-counterfact, 500 edits in batches of 50"
    return Night(
        day=DAYS[place], commit=f"{place}" * 40, version="0.1.0", tracks={TRACK: words}, numbers=tuple(numbers)
    )


def number(editor: str, distribution: str, seed: int, metric: str, value: float) -> Number:
    """A number with an interval of three points to each side; costs have none."""
    half = None if metric == "seconds_per_edit" else 3.0
    low, high = (None, None) if half is None else (value - half, value + half)
    return Number(
        track=TRACK, editor=editor, distribution=distribution, seed=seed, metric=metric, value=value, low=low, high=high
    )


def write_nights(folder: Path, *, hostile: bool = False) -> Path:
    """All nights below ``folder``."""
    for place, day in enumerate(DAYS):
        (folder / day).mkdir(parents=True)
        write_night(folder / day / NAME, night(place, hostile=hostile))
    return folder
