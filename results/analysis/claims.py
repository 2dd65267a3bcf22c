"""Verdicts about claims: paired differences over seeds, and Holm's procedure over all claims of a set. Pure functions.

At one seed all editors get the same edits in the same order. So a claim about rows A and B is a claim about the mean of
the differences A − B of its seeds, tested by Student's t. All claims of a set are judged together: with m of them the
smallest p must be at most level / m, the next level / (m − 1), up to the first that is not (Holm 1979). The chance that
anything at all is found where nothing is the matter is then at most the level. A claim is

* ``shown`` if its test is among those, and the mean lies on the side that the claim names;
* ``refuted`` if it lies on the other side (a one-sided test never finds that);
* ``open`` in all other cases.

A claim of which a run is missing has no verdict, and counts as one that finds nothing. What is found without it is
found with it as well, so no verdict is ever taken back when the run is there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from scipy import special

from palimpsest.harness.runs.reading import ENDED
from palimpsest.tasks.claim_files import Claim, ClaimSet

Verdict = Literal["shown", "refuted", "open"]
Key = tuple[str, int]
"""A quantity of `palimpsest.tasks.claim_quantities`, and the number of edits at which it was taken."""
Runs = Mapping[str, Mapping[int, str]]
"""Name of a row → seed → run id."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run as a claim sees it."""

    status: str
    values: Mapping[Key, float]


@dataclass(frozen=True, slots=True)
class Sample:
    """The differences A − B of a claim, one per seed, and how they are tested."""

    differences: tuple[float, ...]
    side: int
    """Sign of the mean that is claimed."""
    two_sided: bool = True


@dataclass(frozen=True, slots=True)
class Judgement:
    """Result of a test among the others of its set."""

    mean: float
    low: float | None
    """Lower end of the interval that fits the verdict: 0 lies outside just if the test finds something. None: open."""
    high: float | None
    confidence: float
    """Confidence of that interval: 1 − the share of the level that the test had."""
    p: float
    """Student's, of the test alone."""
    adjusted: float
    """Holm's: the test finds something if it is at most the level."""
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Lack:
    """A run that a claim still needs."""

    row: str
    seed: int
    run_id: str
    why: str
    """``not run yet``, ``partial``, ``failed``, or ``without this number``."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A claim with all that is known about it."""

    claim: Claim
    differences: Mapping[int, float]
    """Seed → A − B, the mean over the pairs; only of seeds of which every run is there."""
    lacking: tuple[Lack, ...]
    judgement: Judgement | None
    """None: something is lacking."""


def outcomes(claims: ClaimSet, runs: Runs, measured: Mapping[str, Measured]) -> list[Outcome]:
    """All that is known about each claim of a set, in their order.

    Args:
        claims: The set.
        runs: The run of each row and seed.
        measured: Run id → the run, of those that are there.
    """
    known = [_differences(claim, claims.seeds, runs, measured) for claim in claims.claims]
    samples = [
        None if lacking else Sample(tuple(differences.values()), claim.side, claim.two_sided)
        for claim, (differences, lacking) in zip(claims.claims, known, strict=True)
    ]
    judged = judge(samples, claims.level)
    parts = zip(claims.claims, known, judged, strict=True)
    return [Outcome(claim, differences, lacking, one) for claim, (differences, lacking), one in parts]


def _differences(
    claim: Claim, seeds: Sequence[int], runs: Runs, measured: Mapping[str, Measured]
) -> tuple[dict[int, float], tuple[Lack, ...]]:
    """The differences of the seeds that have all their runs; and the runs that are lacking, each once."""
    differences, lacking = {}, {}
    key = (claim.metric, claim.edits)
    for seed in seeds:
        found: list[float] = []
        for pair in claim.pairs:
            values = [_value(measured.get(runs[row][seed]), key) for row in pair]
            for row, value in zip(pair, values, strict=True):
                if isinstance(value, str):
                    lacking[row, seed] = Lack(row, seed, runs[row][seed], value)
            numbers = [value for value in values if not isinstance(value, str)]
            if len(numbers) == 2:
                found.append(numbers[0] - numbers[1])
        if len(found) == len(claim.pairs):
            differences[seed] = fmean(found)
    return differences, tuple(lacking.values())


def _value(run: Measured | None, key: Key) -> float | str:
    """A run's number, or why there is none."""
    if run is None:
        return "not run yet"
    if run.status not in ENDED:
        return run.status
    return run.values.get(key, "without this number")


def mean_over_seeds(values: Sequence[float]) -> tuple[float, float]:
    """Mean of one row, and half of its own 95 % interval; nothing about the difference from another row."""
    half = float(special.stdtrit(len(values) - 1, 0.975)) * _error(values)
    return fmean(values), half


def judge(samples: Sequence[Sample | None], level: float) -> list[Judgement | None]:
    """Every test judged among all of them, in their order; None where there is no sample.

    Args:
        samples: One per claim, each of at least two differences; None: not known yet.
        level: Chance of any finding where nothing is the matter.
    """
    p = [1.0 if sample is None else _p(sample) for sample in samples]
    adjusted = _holm(p)
    found = [one <= level for one in adjusted]
    left = len(p) - sum(found)
    judged: list[Judgement | None] = []
    for sample, own, after, is_found in zip(samples, p, adjusted, found, strict=True):
        tests = len(p) - sum(other < own for other in p) if is_found else left
        judged.append(None if sample is None else _judgement(sample, own, after, level / tests, found=is_found))
    return judged


def _judgement(sample: Sample, p: float, adjusted: float, share: float, *, found: bool) -> Judgement:
    """One test, with its share of the level."""
    mean = fmean(sample.differences)
    verdict: Verdict = "open" if not found else "shown" if mean * sample.side > 0 else "refuted"
    tail = share / 2 if sample.two_sided else share
    half = float(special.stdtrit(len(sample.differences) - 1, 1 - tail)) * _error(sample.differences)
    low = mean - half if sample.two_sided or sample.side > 0 else None
    high = mean + half if sample.two_sided or sample.side < 0 else None
    return Judgement(mean, low, high, 1 - share, p, adjusted, verdict)


def _p(sample: Sample) -> float:
    """Student's p that the mean is 0, or not on the side that is claimed."""
    mean, error = fmean(sample.differences), _error(sample.differences)
    if mean == 0:
        return 1.0 if sample.two_sided else 0.5
    t = math.copysign(math.inf, mean) if error == 0 else mean / error
    tail = special.stdtr(len(sample.differences) - 1, -abs(t) if sample.two_sided else -t * sample.side)
    return float(2 * tail if sample.two_sided else tail)


def _error(differences: Sequence[float]) -> float:
    """Standard error of the mean."""
    return stdev(differences) / math.sqrt(len(differences))


def _holm(p: Sequence[float]) -> list[float]:
    """Adjusted p of each test, in their order; the same for equal ones."""
    order = sorted(range(len(p)), key=p.__getitem__)
    adjusted, most = [0.0] * len(p), 0.0
    for rank, place in enumerate(order):
        most = max(most, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = most
    return adjusted
