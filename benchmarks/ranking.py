"""Power and errors of the rule that separates the rows of a board, by simulation of whole tracks.

    python -m benchmarks.ranking [--tracks 2000] [--seed 0]

A track is a table of editors × seeds: a seed moves all editors alike (SD 1.6 points), residuals have an SD of 1 point,
or of 3 points for the last two editors where the line says so. One editor is better than all others by d points. Of
every rule the table gives the power, as the share of its pairs with ordinary editors that are found, and in brackets
the family-wise error: the share of tracks in which any two equal editors are told apart.

Rules: ``per pair`` is a t test of each pair's differences with Holm's procedure, that of protocol 1; ``pooled`` is one
variance for all rows and Tukey's range; ``flagged`` leaves rows out of the pool that an F test at 1 % finds out of line
with the others, and compares these by their own variance (Games and Howell 1976); ``mixed`` is
`palimpsest.results.analysis.separation`, the rule of the board.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from palimpsest.results.analysis.separation import separate, studentized_range

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
    """Editors of the wide residual spread."""

    @property
    def name(self) -> str:
        """The scene as the first column of the table has it."""
        wide = f", {self.wide} wide" if self.wide else ""
        return f"{self.editors} × {self.seeds}, {self.better_by:g} points{wide}"

    def draw(self, generator: np.random.Generator) -> Floats:
        """A track, editors × seeds; the first editor is the better one, the last ones are wide."""
        spread = np.full(self.editors, RESIDUAL)
        spread[self.editors - self.wide :] = WIDE
        track = generator.normal(size=(self.editors, self.seeds)) * spread[:, None]
        track += generator.normal(0, SEED_SPREAD, self.seeds)
        track[0] += self.better_by
        return track


SCENES = tuple(
    Scene(editors, seeds, better_by, wide)
    for wide in (0, 2)
    for editors in (6, 18)
    for seeds in (3, 5)
    for better_by in (0.0, 1.0, 2.0, 4.0)
)


def per_pair(track: Floats) -> Found:
    """Student's t of each pair, Holm over all pairs."""
    editors, seeds = track.shape
    first, second = np.triu_indices(editors, 1)
    differences = track[first] - track[second]
    t = np.abs(differences.mean(axis=1)) / (differences.std(axis=1, ddof=1) / np.sqrt(seeds))
    p = 2 * stats.t.sf(t, seeds - 1)
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


def _residuals(track: Floats) -> Floats:
    return track - track.mean(axis=1, keepdims=True) - track.mean(axis=0) + track.mean()


def _distances(track: Floats) -> Floats:
    means = track.mean(axis=1)
    return np.abs(np.subtract.outer(means, means))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--tracks", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rules", nargs="+", choices=RULES, default=list(RULES))
    options = parser.parse_args()
    print(f"| editors × seeds, better by | {' | '.join(options.rules)} |\n| --- |{' --- |' * len(options.rules)}")
    for scene in SCENES:
        cells = []
        for name in options.rules:
            power, error = simulate(scene, RULES[name], options.tracks, options.seed)
            cells.append(f"{power:.2f} ({error:.2f})" if scene.better_by else f"– ({error:.2f})")
        print(f"| {scene.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
