"""Power and errors of the rule that separates the rows of a board, by simulation of whole tracks.

    python -m benchmarks.ranking [--tracks 2000] [--seed 0] [--part rules|residuals|intervals]
    python -m benchmarks.ranking --store FILE

A track is a table of editors × seeds: a seed moves all editors alike (SD 1.6 points), residuals have an SD of 1 point,
or of 3, 10 or 30 for the last editors where the line says so. One editor is better than all others by d points. Of
every rule the table gives the power, as the share of its pairs with ordinary editors that are found, and in brackets
the family-wise error: the share of tracks in which any two equal editors are told apart.

Three tables: the rules; what a smaller residual gains the board's rule; and how often the interval of a row covers its
true mean, for ordinary and for wide rows. ``--store`` counts the pairs of recorded tracks that every rule tells apart.

Rules: ``per pair`` is a t test of each pair's differences with Holm's procedure; ``pooled`` is one
variance for all rows and Tukey's range; ``flagged`` leaves rows out of the pool that an F test at 1 % finds out of line
with the others, and compares these by their own variance (Games and Howell 1976); ``mixed`` is
`palimpsest.results.analysis.separation`, the rule of the board.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from palimpsest.results.analysis.separation import separate, studentized_range
from palimpsest.results.records import LEAST_COURSES
from palimpsest.results.store.database import Store

Floats = NDArray[np.float64]
Found = NDArray[np.bool_]
SEED_SPREAD, RESIDUAL, WIDE = 1.6, 1.0, 3.0
LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Scene:
    """One kind of track."""

    editors: int
    seeds: int
    better_by: float
    wide: int = 0
    """Editors of a wide residual spread."""
    spread: float = WIDE
    """Ratio of it to the others': ten and more where an editor collapses in some of its courses."""
    residual: float = RESIDUAL
    missing: float = 0.0
    """Share of courses that are missing; three of every editor never are."""

    @property
    def name(self) -> str:
        """The scene as the first column of the table has it."""
        wide = f", {self.wide} wide" if self.wide else ""
        wide += f" by {self.spread:g}" if self.wide and self.spread != WIDE else ""
        missing = f", {100 * self.missing:.0f} % missing" if self.missing else ""
        return f"{self.editors} × {self.seeds}, {self.better_by:g} points{wide}{missing}"

    def draw(self, generator: np.random.Generator) -> Floats:
        """A track, editors × seeds; the first editor is the better one, the last ones are wide."""
        spread = np.full(self.editors, self.residual)
        spread[self.editors - self.wide :] *= self.spread
        track = generator.normal(size=(self.editors, self.seeds)) * spread[:, None]
        track += generator.normal(0, SEED_SPREAD, self.seeds)
        track[0] += self.better_by
        if self.missing:
            absent = generator.random(track.shape) < self.missing
            for row in absent:
                row[generator.permutation(self.seeds)[:LEAST_COURSES]] = False
            track[absent] = np.nan
        return track


SCENES = tuple(
    Scene(editors, seeds, better_by, wide)
    for wide in (0, 2)
    for editors in (6, 18)
    for seeds in (3, 5)
    for better_by in (0.0, 1.0, 2.0, 4.0)
) + tuple(
    Scene(18, seeds, better_by, 1, spread)
    for spread in (10.0, 30.0)
    for seeds in (3, 5)
    for better_by in (0.0, 2.0, 4.0)
)


def protocol_1(track: Floats) -> Found:
    """Welch's t of each two rows without pairing them by seed, Holm over all pairs; lenient: without that of cases."""
    editors, seeds = track.shape
    variance = track.var(axis=1, ddof=1) / seeds
    total = np.add.outer(variance, variance)
    freedom = total**2 * (seeds - 1) / np.add.outer(variance**2, variance**2)
    p = 2 * stats.t.sf(_distances(track) / np.sqrt(total), freedom)
    return _holm(p[np.triu_indices(editors, 1)], editors)


def per_pair(track: Floats) -> Found:
    """Student's t of each pair's differences by seed, Holm over all pairs."""
    editors, seeds = track.shape
    first, second = np.triu_indices(editors, 1)
    differences = track[first] - track[second]
    t = np.abs(differences.mean(axis=1)) / (differences.std(axis=1, ddof=1) / np.sqrt(seeds))
    return _holm(2 * stats.t.sf(t, seeds - 1), editors)


def _holm(p: Floats, editors: int) -> Found:
    """Pairs that stay significant, of p of all pairs: the smallest against level / m, the next / (m − 1), …"""
    first, second = np.triu_indices(editors, 1)
    order = np.argsort(p)
    failed = np.flatnonzero(p[order] > LEVEL / np.arange(len(p), 0, -1))
    taken = order[: failed[0] if failed.size else len(p)]
    found = np.zeros((editors, editors), dtype=bool)
    found[first[taken], second[taken]] = True
    return found | found.T


def pooled(track: Floats) -> Found:
    """One variance of all residuals, Tukey's range."""
    editors, seeds = track.shape
    freedom = (editors - 1) * (seeds - 1)
    variance = (_residuals(track) ** 2).sum() / freedom
    found: Found = _distances(track) > studentized_range(editors, freedom) * np.sqrt(variance / seeds)
    return found


def flagged(track: Floats) -> Found:
    """Rows out of line with the others, worst first and at most a third of them, stand by their own variance."""
    editors, seeds = track.shape
    squares = (_residuals(track) ** 2).sum(axis=1)
    apart = np.zeros(editors, dtype=bool)
    own = squares / (seeds - 1) * editors / (editors - 1)
    for _ in range(editors // 3):
        rest = (~apart).sum() - 1
        others = squares[~apart].sum() - squares
        p = np.where(apart, 1.0, stats.f.sf(own / (others / (rest * (seeds - 1))), seeds - 1, rest * (seeds - 1)))
        if p.min() >= 0.01:
            break
        apart[p.argmin()] = True
    freedom = ((~apart).sum() - 1) * (seeds - 1)
    variance = np.where(apart, own, squares[~apart].sum() / freedom) / seeds
    freedoms = np.where(apart, seeds - 1, freedom)
    total = np.add.outer(variance, variance)
    welch = total**2 / np.add.outer(variance**2 / freedoms, variance**2 / freedoms)
    welch = np.where(np.logical_or.outer(apart, apart), welch, freedom)
    limits = {value: studentized_range(editors, value) for value in np.unique(welch.round(1))}
    found: Found = _distances(track) > np.vectorize(limits.get)(welch.round(1)) * np.sqrt(total / 2)
    return found


def mixed(track: Floats) -> Found:
    """The rule of the board."""
    better = separate(track).better
    return better | better.T


RULES: dict[str, Callable[[Floats], Found]] = {
    "per pair": per_pair, "pooled": pooled, "flagged": flagged, "mixed": mixed,
}  # fmt: skip


def simulate(scene: Scene, rule: Callable[[Floats], Found], tracks: int, seed: int) -> tuple[float, float]:
    """Power and family-wise error of one rule on one scene."""
    generator = np.random.default_rng(seed)
    power, errors = 0.0, 0
    for _ in range(tracks):
        found = rule(scene.draw(generator))
        power += found[0, 1 : scene.editors - scene.wide].mean()
        equal = found[1:, 1:] if scene.better_by else found
        errors += bool(equal.any())
    return power / tracks, errors / tracks


def coverage(scene: Scene, tracks: int, seed: int) -> tuple[float, float]:
    """Share of the intervals that cover the row's true mean: of ordinary rows, and of wide ones (NaN without any)."""
    generator = np.random.default_rng(seed)
    truth = np.zeros(scene.editors)
    truth[0] = scene.better_by
    covered = np.zeros(scene.editors)
    for _ in range(tracks):
        track = scene.draw(generator)
        covered += np.abs(np.nanmean(track, axis=1) - truth) <= separate(track).half
    ordinary, wide = np.split(covered / tracks, [scene.editors - scene.wide])
    return float(ordinary.mean()), float(wide.mean()) if scene.wide else float("nan")


def told_apart(found: Found) -> int:
    """Number of pairs that a rule tells apart."""
    return int(np.triu(found, 1).sum())


def recorded(path: Path) -> Iterator[tuple[str, Floats]]:
    """Tracks of a store with their tables of rows × seeds, without rows that lack a seed."""
    courses = (
        "SELECT track_id, model, task, edits_planned, row_id, list(h.edits ORDER BY seed), list(seed ORDER BY seed)"
        " FROM shown_runs JOIN headlines h USING (run_id) WHERE h.quantity = 'effective_edits' AND h.edits IS NOT NULL"
        " AND status IN ('complete', 'collapsed') GROUP BY ALL ORDER BY ALL"
    )
    with Store.open(path, read_only=True) as store:
        tracks: dict[tuple[object, ...], list[tuple[list[int], list[float]]]] = {}
        for *key, _, values, seeds in store.rows(courses):
            tracks.setdefault(tuple(key), []).append((seeds, values))
    for key, rows in tracks.items():
        most = max((seeds for seeds, _ in rows), key=len)
        table = np.array([values for seeds, values in rows if seeds == most])
        if len(most) >= LEAST_COURSES and len(table) > 1:
            yield ", ".join(map(str, key[1:])), table


def _residuals(track: Floats) -> Floats:
    return track - track.mean(axis=1, keepdims=True) - track.mean(axis=0) + track.mean()


def _distances(track: Floats) -> Floats:
    means = track.mean(axis=1)
    return np.abs(np.subtract.outer(means, means))


def print_rules(tracks: int, seed: int) -> None:
    """Power and errors of every rule in every scene."""
    _head("editors × seeds, better by", *RULES)
    for scene in SCENES:
        cells = []
        for rule in RULES.values():
            power, error = simulate(scene, rule, tracks, seed)
            cells.append(f"{power:.2f} ({error:.2f})" if scene.better_by else f"– ({error:.2f})")
        _line(scene.name, *cells)


def print_residuals(tracks: int, seed: int) -> None:
    """Power of the board's rule by the residual's spread."""
    spreads = (1.0, 0.8, 0.6, 0.5)
    _head("editors × seeds, better by", *(f"residual {spread:g}" for spread in spreads))
    for seeds in (3, 5):
        for better_by in (1.0, 2.0, 4.0):
            scenes = [Scene(18, seeds, better_by, residual=spread) for spread in spreads]
            _line(scenes[0].name, *(f"{simulate(scene, mixed, tracks, seed)[0]:.2f}" for scene in scenes))


def print_intervals(tracks: int, seed: int) -> None:
    """Coverage of the rows' intervals."""
    _head("editors × seeds", "ordinary rows", "wide rows")
    scenes = [Scene(editors, seeds, 0.0) for editors in (1, 2, 6, 18) for seeds in (3, 5, 10)]
    scenes += [Scene(18, seeds, 0.0, 2) for seeds in (3, 5, 10)] + [Scene(18, 6, 0.0, 2, missing=0.3)]
    scenes += [Scene(18, seeds, 0.0, 1, spread) for spread in (10.0, 30.0) for seeds in (3, 5)]
    for scene in scenes:
        ordinary, wide = coverage(scene, tracks, seed)
        _line(scene.name.replace(", 0 points", ""), f"{ordinary:.3f}", "–" if np.isnan(wide) else f"{wide:.3f}")


def print_store(path: Path) -> None:
    """Pairs that every rule tells apart on the recorded tracks; also that of protocol 1, which did not pair by seed."""
    rules = {"protocol 1": protocol_1} | RULES
    _head("track", "editors × seeds", "pairs", *rules)
    for name, table in recorded(path):
        rows, seeds = table.shape
        counts = [str(told_apart(rule(table))) for rule in rules.values()]
        _line(name, f"{rows} × {seeds}", str(rows * (rows - 1) // 2), *counts)


def _head(*cells: str) -> None:
    _line(*cells)
    print("|" + " --- |" * len(cells))


def _line(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


PARTS = {"rules": print_rules, "residuals": print_residuals, "intervals": print_intervals}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--tracks", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--store", type=Path)
    options = parser.parse_args()
    if options.store:
        print_store(options.store)
        return
    for part in options.part:
        PARTS[part](options.tracks, options.seed)
        print()


if __name__ == "__main__":
    main()
