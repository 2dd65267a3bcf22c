"""Parts of the residual of recorded tracks: drawing cases, the grid of checkpoints, and the rest.

    python -m benchmarks.residuals FILE

FILE is a store. A track is a table of rows × seeds; what rows and seeds leave of it is the residual, which decides how
small a difference can be told (docs/ranking.md). For each track of three courses or more the table has the residual SD
of the middle row in effective edits: as the board has it; with h at fewer checkpoints; and as far as it comes from the
cases that a seed happened to draw, which is known from the draws of cases that intervals are made of.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from palimpsest.results.analysis.effective_edits import course, effective_edits
from palimpsest.results.analysis.separation import separate
from palimpsest.results.records import LEAST_COURSES
from palimpsest.results.store.database import Store

Floats = NDArray[np.float64]
Grid = Callable[[Sequence[int]], Sequence[int]]
GRIDS: Mapping[str, Grid] = {
    "as scored": lambda points: points,
    "first and last": lambda points: sorted({points[0], points[-1]}),
    "last alone": lambda points: points[-1:],
}
"""Checkpoints with edits → those of them that h is taken from."""


@dataclass(frozen=True, slots=True)
class Course:
    """One run of a row."""

    h: Mapping[int, float]
    """Edits → h, as a share."""
    collapsed_at: int | None
    draws: Floats
    """Effective edits in the resamples of its cases, the same for all rows of a seed."""

    def held(self, grid: Grid) -> float:
        """Effective edits with h at these checkpoints alone."""
        points = grid(sorted(self.h)) if self.h else []
        if not points:
            return 0.0
        edits, curve = course(points, [self.h[point] for point in points], self.collapsed_at)
        return float(effective_edits(edits, curve))


Track = list[list[Course]]
"""Rows × seeds."""


def recorded(path: Path) -> dict[str, Track]:
    """Tracks of a store whose rows have the same three seeds or more; rows that lack one are left out."""
    sql = (
        "SELECT track_id, concat_ws(', ', model, task, batch_size || ' at once'), row_id, seed, run_id, status,"
        " edits_done FROM shown_runs WHERE NOT submitted AND status IN ('complete', 'collapsed') ORDER BY ALL"
    )
    with Store.open(path, read_only=True) as store:
        h: dict[str, dict[int, float]] = {}
        for run, edits, value in store.rows(
            "SELECT run_id, edits, value FROM metrics WHERE metric = 'quality' AND \"window\" = 'all' AND edits > 0"
        ):
            h.setdefault(run, {})[edits] = value / 100
        draws = {run: np.asarray(found) for run, found in store.rows("SELECT run_id, draws FROM rank_draws")}
        tracks: dict[tuple[str, str], dict[str, dict[int, Course]]] = {}
        for track, name, row, seed, run, status, done in store.rows(sql):
            one = Course(h.get(run, {}), done if status == "collapsed" else None, draws.get(run, np.zeros(0)))
            tracks.setdefault((track, name), {}).setdefault(row, {})[seed] = one
    found: dict[str, Track] = {}
    for (_, name), rows in tracks.items():
        seeds = max((set(courses) for courses in rows.values()), key=len)
        whole = [[courses[seed] for seed in sorted(seeds)] for courses in rows.values() if set(courses) >= seeds]
        if len(seeds) >= LEAST_COURSES and len(whole) > 1:
            found[name] = whole
    return found


def residual(table: Floats) -> float:
    """SD of the residual of the middle row."""
    return float(np.sqrt(np.median(separate(table).variance)))


def of_cases(track: Track) -> float:
    """The same, as far as it comes from drawing cases: what rows leave of the mean of all rows in one draw."""
    found = []
    for courses in zip(*track, strict=True):
        taken = [one.draws for one in courses if len(one.draws) > 1]
        draws = np.stack([one - one.mean() for one in taken if len(one) == len(taken[0])])
        left = (draws - draws.mean(axis=0)) * np.sqrt(len(draws) / (len(draws) - 1))
        found.append(np.median(left.var(axis=1)))
    return float(np.sqrt(np.mean(found)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("store", type=Path)
    options = parser.parse_args()
    print(f"| track | rows × seeds | {' | '.join(GRIDS)} | of it from cases |\n|{' --- |' * (len(GRIDS) + 3)}")
    for name, track in recorded(options.store).items():
        tables = [np.array([[one.held(grid) for one in row] for row in track]) for grid in GRIDS.values()]
        numbers = [*map(residual, tables), of_cases(track)]
        cells = (name, f"{len(track)} × {len(track[0])}", *(f"{number:.1f}" for number in numbers))
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
