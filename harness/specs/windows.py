"""Cases that are scored, and that texts are sampled of, at a checkpoint: seeded choices by place in the schedule."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from palimpsest.harness.specs.run_spec import Scoring

Window = Literal["all", "first", "latest", "first_1000", "last_1000", "planned"]
WINDOWS: tuple[Window, ...] = get_args(Window)
ANSWERED = 12
"""Cases whose answers are kept to look at."""
SLICE = 1000
"""Edits in ``first_1000`` and ``last_1000``, which exist beyond that many edits."""


def choose_windows(positions: int, sampling: Scoring, edits_so_far: int) -> dict[str, list[int]]:
    """Choose the cases of the schedule that are scored at a checkpoint, by window, as ascending positions.

    Windows: ``all`` edits so far, their ``first`` and their ``latest`` quarter (at least one case each); beyond 1,000
    edits also the ``first_1000`` and the ``last_1000``; before the first edit ``planned``, all cases of the schedule.
    One seeded permutation ranks all positions; the sample of a window are its highest-ranked members, so that samples
    overlap as much as they can from checkpoint to checkpoint.
    """
    if not 0 <= edits_so_far <= positions:
        raise ValueError(f"{edits_so_far} edits so far do not fit a schedule of {positions}")
    if edits_so_far == 0:
        windows = {"planned": range(positions)}
    else:
        windows = {"all": range(edits_so_far)}
        windows |= _ends(edits_so_far, max(1, edits_so_far // 4), "first", "latest")
        if edits_so_far > SLICE:
            windows |= _ends(edits_so_far, SLICE, "first_1000", "last_1000")
    rank = _rank(positions, sampling)
    return {name: sorted(sorted(members, key=rank.__getitem__)[: sampling.sample]) for name, members in windows.items()}


def window_size(window: str, edits: int) -> int:
    """Number of edits in a window after ``edits`` edits, sampled or not; 0 for one that does not exist there."""
    if window in ("first_1000", "last_1000"):
        return SLICE if edits > SLICE else 0
    return {"all": edits, "first": max(1, edits // 4), "latest": max(1, edits // 4)}.get(window, 0) if edits else 0


def choose_generated(positions: int, sampling: Scoring, edits_so_far: int) -> list[int]:
    """Choose the cases of which texts are sampled: the highest-ranked edits so far (before the first: of all)."""
    rank = _rank(positions, sampling)
    return sorted(sorted(range(edits_so_far or positions), key=rank.__getitem__)[: sampling.generation.cases])


def choose_answered(positions: int, seed: int, count: int = ANSWERED) -> list[int]:
    """Positions of the cases whose greedy answers are kept at every checkpoint, ascending: a seeded sample of all."""
    chosen: list[int] = np.sort(np.random.default_rng(seed).permutation(positions)[:count]).tolist()
    return chosen


def ever_scored(positions: int, sampling: Scoring, checkpoints: tuple[int, ...]) -> list[int]:
    """Positions of all cases that some checkpoint of a schedule scores."""
    windows = [choose_windows(positions, sampling, edits) for edits in checkpoints]
    return sorted({position for found in windows for members in found.values() for position in members})


def _ends(edits: int, size: int, first: str, last: str) -> dict[str, range]:
    return {first: range(size), last: range(edits - size, edits)}


def _rank(positions: int, sampling: Scoring) -> list[int]:
    ranks: list[int] = np.random.default_rng(sampling.seed).permutation(positions).tolist()
    return ranks
