"""Coverage of the intervals of one course, by simulation: how often a 95 % interval holds the true value.

    python -m benchmarks.coverage [--replicates 4000] [--seed 0]

A world is a schedule of cases with their true and new objects, some of them far more frequent than others. Whether a
prompt is answered rightly depends on a normal number, of which ``shared`` of the variance comes from an object: the new
one for efficacy and paraphrase, the true one for the neighborhood. The true value is that of all schedules which could
have been drawn. Beside the rule of the board stands the percentile bootstrap over cases alone, that of protocol 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray
from scipy import special

from palimpsest.harness.metrics.probes import SCORES, CaseTable, harmonic_mean
from palimpsest.results.analysis.effective_edits import course, effective_edits, quality
from palimpsest.results.analysis.headline import Headline, headline
from palimpsest.results.analysis.intervals.cases import percentiles
from palimpsest.results.analysis.intervals.clusters import Clusters
from palimpsest.results.analysis.intervals.items import AbilityItems, draw_counts, drawn_kept
from palimpsest.results.analysis.intervals.means import draws, means

Floats = NDArray[np.float64]
SHARES = (0.02, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.98)
PARTS = SCORES["score_argmax"]
CHECKPOINTS = (25, 50, 100, 200)


@dataclass(frozen=True)
class World:
    """A schedule of cases."""

    cases: int
    objects: int = 0
    """Objects to choose from, of either kind; 0: every case has its own."""
    shared: float = 0.0
    """Share of the variance that comes from the object."""
    seed: int = 0

    @property
    def name(self) -> str:
        """The world as the tables have it."""
        return f"{self.cases}, {self.objects}, {100 * self.shared:g} %" if self.objects else f"{self.cases}, own"

    @cached_property
    def objects_of(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """True and new object of each case; the most frequent one has some twelve times the cases of the rarest."""
        if not self.objects:
            return np.arange(self.cases), np.arange(self.cases)
        weights = 1 / (np.arange(self.objects) + self.objects / 12)
        generator = np.random.default_rng([self.seed, self.cases, self.objects])
        true, new = generator.choice(self.objects, size=(2, self.cases), p=weights / weights.sum())
        return true, new

    @cached_property
    def clusters(self) -> Clusters:
        """As the board makes them: subjects differ, objects repeat."""
        return Clusters(np.arange(self.cases), [np.arange(self.cases), *self.objects_of])

    def latent(self, kind: int, replicates: int, generator: np.random.Generator) -> Floats:
        """Standard normal numbers, (cases, replicates), that depend on the objects of one kind: 0 true, 1 new."""
        objects = generator.normal(size=(max(self.objects, self.cases), replicates))[self.objects_of[kind]]
        return np.sqrt(self.shared) * objects + np.sqrt(1 - self.shared) * generator.normal(size=objects.shape)


def mixed(latent: Floats, kept: float, generator: np.random.Generator) -> Floats:
    """Standard normal numbers of which ``kept`` of the variance is that of others."""
    return np.sqrt(kept) * latent + np.sqrt(1 - kept) * generator.normal(size=latent.shape)


def right(latent: Floats, share: float) -> Floats:
    """1 for the ``share`` of cases that are answered rightly, else 0."""
    return (latent < special.ndtri(share)).astype(np.float64)


def covered(low: Floats, high: Floats, true: float) -> float:
    """Share of intervals that hold the true value."""
    return float(((low <= true + 1e-12) & (high >= true - 1e-12)).mean())


def board(world: World, values: Floats) -> tuple[Floats, Floats]:
    """The rule of the board: Wilson's interval for as many independent cases as tell as much."""
    return means(values, [True] * values.shape[1], world.clusters).interval()


def by_case(world: World, values: Floats) -> tuple[Floats, Floats]:
    """Percentiles over resamples of cases."""
    return _percentiles(draw_counts(world.cases, 1000, 0), values)


def by_product(world: World, values: Floats) -> tuple[Floats, Floats]:
    """Percentiles over resamples of subjects, of true and of new objects, weights multiplied (Owen and Eckles 2012)."""
    weights = draw_counts(world.cases, 1000, 0)
    for seed, objects in enumerate(world.objects_of, start=1):
        found = np.unique(objects, return_inverse=True)[1]
        weights = weights * draw_counts(int(found.max()) + 1, 1000, seed)[:, found]
    return _percentiles(weights, values)


def _percentiles(weights: NDArray[np.float32], values: Floats) -> tuple[Floats, Floats]:
    drawn = weights @ values.astype(np.float32) / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return low - 1e-6, high + 1e-6  # the draws have single precision


Rule = Callable[[World, Floats], tuple[Floats, Floats]]
RULES: Mapping[str, Rule] = {"board": board, "by case": by_case, "product": by_product}


def share(world: World, true: float, replicates: int, seed: int, rule: Rule = board, probes: int = 1) -> float:
    """Coverage of a share, where the value of a case is the mean of some probes."""
    generator = np.random.default_rng([seed, 1])
    latent = world.latent(1, replicates, generator)
    values = np.mean([right(mixed(latent, 0.7, generator), true) for _ in range(probes)], axis=0)
    return covered(*rule(world, values), true)


def course_of(
    world: World, shares: Mapping[int, Sequence[float]], replicates: int, generator: np.random.Generator,
    like: Sequence[Floats] | None = None,
) -> tuple[dict[int, Floats], list[Floats]]:  # fmt: skip
    """Outcomes of an editor: edits → (parts, cases, replicates), efficacy, paraphrase (2) and neighborhood (4 prompts).

    Args:
        world: The schedule.
        shares: Edits → true efficacy, paraphrase and neighborhood.
        replicates: Of the whole course.
        generator: Of the random numbers.
        like: Latent numbers of another editor, which this one's resemble.
    """
    edit = world.latent(1, replicates, generator) if like is None else mixed(like[0], 0.8, generator)
    around = world.latent(0, replicates, generator) if like is None else mixed(like[1], 0.8, generator)
    found = {}
    for edits, true in shares.items():
        now, near = mixed(edit, 0.8, generator), mixed(around, 0.8, generator)
        parts = [right(now, true[0])]
        parts.append(np.mean([right(mixed(now, 0.7, generator), true[1]) for _ in range(2)], axis=0))
        parts.append(np.mean([right(mixed(near, 0.7, generator), true[2]) for _ in range(4)], axis=0))
        found[edits] = np.stack(parts)[:, : edits or world.cases]
    return found, [edit, around]


def harmonic(world: World, true: Sequence[float], replicates: int, seed: int) -> float:
    """Coverage of the harmonic mean of efficacy, paraphrase and neighborhood."""
    found, _ = course_of(world, {0: true}, replicates, np.random.default_rng([seed, 2]))
    ends = [percentiles(drawn) for drawn in scores(world, found[0]).T]
    return covered(*np.array(ends).T, float(harmonic_mean(np.array(true))))


def difference(world: World, one: Sequence[float], two: Sequence[float], replicates: int, seed: int) -> float:
    """Coverage of the difference of two editors' harmonic means on the same cases."""
    generator = np.random.default_rng([seed, 3])
    first, like = course_of(world, {0: one}, replicates, generator)
    second, _ = course_of(world, {0: two}, replicates, generator, like)
    drawn = scores(world, first[0]) - scores(world, second[0])
    return covered(*paired(drawn), float(harmonic_mean(np.array(one)) - harmonic_mean(np.array(two))))


def scores(world: World, parts: Floats) -> Floats:
    """Harmonic mean of (parts, cases, replicates): as measured, then 1,000 draws; (1 + draws, replicates)."""
    columns = parts.transpose(1, 2, 0).reshape(world.cases, -1)
    found = means(columns, [True] * columns.shape[1], world.clusters)
    drawn = draws(found, np.arange(world.cases), world.clusters, 1000, 0)
    return harmonic_mean(drawn.reshape(len(drawn), -1, len(parts)))


def paired(difference: Floats) -> tuple[Floats, Floats]:
    """Ends of the intervals of differences of paired draws, by their standard error, as the board resolves them."""
    half = 1.96 * difference[1:].std(axis=0)
    return difference[0] - half, difference[0] + half


TASKS = (0.25, 0.25, 0.5, 0.5)
"""Levels of chance of the ability tasks."""


def answered(kept: float, pristine: float, numbers: Floats) -> list[AbilityItems]:
    """Ability tasks of a model that keeps a share of what the unedited one is above chance.

    Args:
        kept: That share.
        pristine: Share of items that the unedited model gets right.
        numbers: Standard normal ones, (2, tasks, items).
    """
    tasks = []
    for place, chance in enumerate(TASKS):
        level, own = numbers[:, place]
        before = level < special.ndtri(pristine)
        if kept > 0.9:  # some items are lost, and a few gained
            gained, lost = 0.002 * pristine / (1 - pristine), 0.002 + (1 - kept) * (1 - chance / pristine)
            now = np.where(before, own >= special.ndtri(lost), own < special.ndtri(gained))
        else:
            now = np.sqrt(0.6) * level + np.sqrt(0.4) * own < special.ndtri(chance + kept * (pristine - chance))
        tasks.append(AbilityItems(f"task {place}", chance, now, before))
    return tasks


def abilities(kept: float, items: int, replicates: int, seed: int, pristine: float = 0.9) -> float:
    """Coverage of the share of abilities kept."""
    generator = np.random.default_rng([seed, 4])
    numbers = (generator.normal(size=(2, len(TASKS), items)) for _ in range(replicates))
    ends = [percentiles(drawn_kept(answered(kept, pristine, one))) for one in numbers]
    return covered(*np.array(ends).T, kept)


@dataclass(frozen=True)
class Editor:
    """True shares over a course."""

    start: tuple[float, float, float]
    end: tuple[float, float, float]
    kept: float
    """Abilities at the end."""

    def shares(self, last: int) -> dict[int, tuple[float, ...]]:
        """Edits → efficacy, paraphrase and neighborhood, on straight lines; at 0 edits the unedited model's."""
        found: dict[int, tuple[float, ...]] = {0: (0.02, 0.02, 0.9)}
        for edits in CHECKPOINTS:
            part = edits / last
            found[edits] = tuple(a + (b - a) * part for a, b in zip(self.start, self.end, strict=True))
        return found

    def truth(self, last: int) -> float:
        """Effective edits of the true shares."""
        shares = self.shares(last)
        held = [quality(*shares[edits], 0.9, 1 - (1 - self.kept) * edits / last) for edits in CHECKPOINTS]
        return float(effective_edits(*course(CHECKPOINTS, np.array(held))))


def headlines(
    world: World, editor: Editor, replicates: int, generator: np.random.Generator, resamples: int,
    like: Sequence[Floats] | None = None,
) -> tuple[list[Headline], list[Floats]]:  # fmt: skip
    """Headline of an editor's course, once per replicate."""
    found, latent = course_of(world, editor.shares(world.cases), replicates, generator, like)
    made = []
    for i in range(replicates):
        tables = {edits: _table(100 * parts[:, :, i]) for edits, parts in found.items()}
        numbers = generator.normal(size=(2, len(TASKS), 100))
        levels = {edits: 1 - (1 - editor.kept) * edits / world.cases for edits in CHECKPOINTS}
        items = {edits: answered(level, 0.9, numbers) for edits, level in levels.items()}
        made.append(headline(tables, items, "counterfact", clusters=world.clusters, resamples=resamples))
    return made, latent


def _table(values: Floats) -> CaseTable:
    """Per-case values of one checkpoint; the preferred answer counts as the first choice does."""
    columns = dict(zip(PARTS, values, strict=True)) | {"efficacy_preference": values[0]}
    return CaseTable(np.arange(values.shape[1]), columns, 0)


def whole_course(world: World, editor: Editor, replicates: int, seed: int, resamples: int = 1000) -> float:
    """Coverage of effective edits."""
    made, _ = headlines(world, editor, replicates, np.random.default_rng([seed, 5]), resamples)
    ends = np.array([(one.effective_edits.low, one.effective_edits.high) for one in made], dtype=np.float64)
    return covered(*ends.T, editor.truth(world.cases))


def two_courses(world: World, one: Editor, two: Editor, replicates: int, seed: int, resamples: int = 1000) -> float:
    """Coverage of the difference of two editors' effective edits on the same cases."""
    generator = np.random.default_rng([seed, 6])
    first, like = headlines(world, one, replicates, generator, resamples)
    second, _ = headlines(world, two, replicates, generator, resamples, like)
    drawn = [
        np.array([[h.effective_edits.value, *h.draws] for h in made], dtype=np.float64).T for made in (first, second)
    ]
    return covered(*paired(drawn[0] - drawn[1]), one.truth(world.cases) - two.truth(world.cases))


STEADY = Editor((0.99, 0.95, 0.88), (0.9, 0.7, 0.7), kept=0.9)
FADING = Editor((0.95, 0.8, 0.85), (0.6, 0.3, 0.5), kept=0.5)
PERFECT = Editor((0.99, 0.97, 0.9), (0.98, 0.95, 0.89), kept=1.0)
SCENES = (
    *(World(cases) for cases in (20, 50, 200)),
    *(World(100, 40, shared) for shared in (0.0, 0.2)),
    *(World(500, 80, shared) for shared in (0.0, 0.1, 0.3)),
    World(500, 40, 0.2), World(200, 12, 0.2), World(2000, 300, 0.2),
)  # fmt: skip
WORLDS = (World(200), World(200, 60, 0.1), World(200, 60, 0.3))


def compounds(many: int, few: int, seed: int) -> dict[str, Callable[[World], float]]:
    """Line of the second table → coverage in a world."""
    found: dict[str, Callable[[World], float]] = {}
    for true in ((0.98, 0.98, 0.98), (0.95, 0.9, 0.8), (0.6, 0.4, 0.8), (0.05, 0.03, 0.9)):
        text = ", ".join(f"{100 * part:g}" for part in true)
        found[f"score of {text} %"] = partial(harmonic, true=true, replicates=many, seed=seed)
    for other in ((0.95, 0.9, 0.8), (0.6, 0.5, 0.5)):
        text = ", ".join(f"{100 * part:g}" for part in other)
        found[f"95, 90, 80 % less {text} %"] = partial(
            difference, one=(0.95, 0.9, 0.8), two=other, replicates=many, seed=seed
        )
    editors = {"steady": STEADY, "fading": FADING, "nearly perfect": PERFECT}
    for name, editor in editors.items():
        found[f"effective edits, {name}"] = partial(whole_course, editor=editor, replicates=few, seed=seed)
    for name, editor in editors.items():
        found[f"effective edits, steady less {name}"] = partial(
            two_courses, one=STEADY, two=editor, replicates=few, seed=seed
        )
    return found


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--replicates", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    few = options.replicates // 4
    print(f"| cases, objects, shared | rule | {' | '.join(f'{100 * true:g} %' for true in SHARES)} |")
    print(f"| --- | --- |{' ---: |' * len(SHARES)}")
    for world in SCENES:
        for name, rule in RULES.items():
            found = (100 * share(world, true, options.replicates, options.seed, rule) for true in SHARES)
            cells = " | ".join(f"{one:.1f}" for one in found)
            print(f"| {world.name} | {name} | {cells} |", flush=True)
    print(f"\n| | {' | '.join(world.name for world in WORLDS)} |\n| --- |{' ---: |' * len(WORLDS)}")
    for name, cover in compounds(options.replicates, few, options.seed).items():
        print(f"| {name} | {' | '.join(f'{100 * cover(world):.1f}' for world in WORLDS)} |", flush=True)
    print("\n| abilities kept | 4 × 50 items | 4 × 100 | 4 × 400 |\n| --- | ---: | ---: | ---: |")
    for kept in (1.0, 0.98, 0.9, 0.5, 0.0):
        cells = " | ".join(f"{100 * abilities(kept, items, few, options.seed):.1f}" for items in (50, 100, 400))
        print(f"| {100 * kept:g} % | {cells} |", flush=True)


if __name__ == "__main__":
    main()
