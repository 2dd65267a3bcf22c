"""Records that the queries of the store return and the site renders: frozen, plain values only.

Texts in these records were cleaned at ingest (no control or bidirectional characters, NFC, bounded length), but they
are still foreign text: escape them like any other. Times are ISO 8601 texts in UTC. Percentages run from 0 to 100.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

RunStatus = Literal["complete", "partial", "collapsed", "failed"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % confidence interval."""

    value: float | None
    """None: not measured."""
    low: float | None = None
    high: float | None = None
    n: int = 0
    """Number of cases (or ability items) that the value rests on."""


@dataclass(frozen=True, slots=True)
class EditsUntil:
    """Edits until a curve falls under a limit: one of the first two is set, or none when it was not measured.

    Of several seeds both may be: then some of them never fell, and ``edits`` is a lower bound.
    """

    edits: float | None = None
    """Edits, interpolated between checkpoints, after which the curve first fell under the limit."""
    censored_at: int | None = None
    """The curve was still above the limit at this last checkpoint: shown as ``> N``."""
    low: float | None = None
    """Lower end of the 95 % interval; None: no interval."""
    high: float | None = None
    """Upper end; None with a ``low``: open, the end of the run lies inside the interval."""


class Pair(NamedTuple):
    """Two rows of a track, compared over the seeds that both have."""

    above: str
    """Row id of the one that holds more edits."""
    below: str
    seeds: int
    """Number of seeds that both have."""
    difference: float | None = None
    """Mean difference of effective edits over these seeds; None: too few to compare the rows."""
    least: float | None = None
    """Smallest difference that these two rows can be told apart by."""

    @property
    def told_apart(self) -> bool:
        """True if one of the two surely holds more edits."""
        return self.difference is not None and self.least is not None and abs(self.difference) > self.least


RUN_ORDER = "order by the run's seed"
"""The order of the edits, in words, of runs whose seed draws it."""
LEAST_COURSES = 3
"""Courses that a row needs to be ranked, and that two rows must share to be compared."""
ONE_CHECKPOINT = "one checkpoint"
"""The track is scored once, so that effective edits are the area under a guess."""
ONE_ORDER = "one order"
"""All seeds edit in one order, so that they tell nothing about others."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Place of one row on the board of its track, over all of its courses."""

    courses: int
    """Courses (one a seed) that ended by themselves."""
    effective_edits: Interval
    """Mean over the courses. With three or more in orders of their own the interval covers what other courses would
    give; else only what other cases would give in these."""
    rank_low: int | None = None
    """Best rank that the data allow; None for a row without a rank, which has fewer than three courses."""
    rank_high: int | None = None
    wide: bool = False
    """True if its courses spread more widely than those of the other rows, so that it was compared by a variance of its
    own."""
    unranked: str = ""
    """Reason why no row of the track has a rank, however many courses it has: `ONE_CHECKPOINT`, `ONE_ORDER`; empty:
    there is none."""

    @property
    def tells_of_courses(self) -> bool:
        """True if the interval covers what other courses would give, not only other cases in these."""
        return self.courses >= LEAST_COURSES and self.unranked != ONE_ORDER


class CurvePoint(NamedTuple):
    """One checkpoint on a curve."""

    edits: int
    value: float | None
    low: float | None
    high: float | None
    imputed: bool = False
    """True: the run had collapsed before this checkpoint, so it counts as 0 without having been scored."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric of one run against the number of edits."""

    run_id: str
    editor: str
    metric: str
    """Metric name, ``ability:<task>`` for one ability, or ``<diagnostic>:<layer>`` for one edited layer."""
    window: str
    """One of `harness.specs.windows.WINDOWS`; empty for what has no window (abilities, diagnostics, costs)."""
    points: tuple[CurvePoint, ...]
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Track:
    """Model × task × schedule × protocol: the only place within which rows are ranked."""

    track_id: str
    model: str
    model_fingerprint: str
    task: str
    task_form: str
    """``counterfact`` or ``zsre``."""
    edits: int
    batch_size: int
    checkpoints: tuple[int, ...]
    edit_order: str
    """``file order``, ``order seed 7``, or `RUN_ORDER`."""
    protocol: int
    sample: int | None
    """At most this many cases are scored per window; None: all."""
    abilities: tuple[str, ...]
    runs: int
    task_hash: str = ""
    texts: int = 0
    """Number of cases of which texts are sampled."""
    special_tokens: bool = False
    """True if texts are kept with their special tokens, too, as published numbers have them."""
    top: bool = False
    """True if neighborhood prompts are compared with what the unedited model says."""
    published_top: bool = False
    """True if they are compared with it as the code of DeltaEdit and EasyEdit does, too."""
    reference_tokenisation: bool = False
    """True if answers are read as the published evaluation of ZsRE reads them."""
    main_metric: str = "score_argmax"
    """The harmonic score of the form that the headline goes by: ``score_argmax``, or ``score_token_accuracy``."""
    abilities_counted: tuple[str, ...] = ()
    """Ability tasks on which the unedited model is surely above chance; empty: a track without abilities."""
    further: tuple[str, ...] = ()
    """Metrics of probes that only some data have: portability, many hops, distraction."""
    own_cases: bool = False
    """True if seeds draw cases of their own; False: all are asked about the same."""
    pairs: tuple[Pair, ...] = ()
    """All pairs of the rows that have a rank; see `separation`."""

    @property
    def own_orders(self) -> bool:
        """True if each seed has an order of its own; only then rows can have ranks."""
        return self.edit_order == RUN_ORDER

    @property
    def resolution(self) -> float | None:
        """The difference of effective edits from which on two rows are told apart, in the middle of all pairs."""
        known = [pair.least for pair in self.pairs if pair.least is not None]
        return statistics.median(known) if known else None

    @property
    def told_apart(self) -> int:
        """Number of pairs of which one row surely holds more edits."""
        return sum(pair.told_apart for pair in self.pairs)

    @property
    def extras(self) -> tuple[str, ...]:
        """Metrics that are measured on this track, and not on every one of its form."""
        published = ("neighborhood_top_deltaedit", "locality_easyedit") if self.published_top else ()
        texts = ("fluency", *(("fluency_special_tokens",) if self.special_tokens else ()), "consistency_own")
        top = ("neighborhood_top",) if self.top else ()
        return (*top, *published, *self.further, *(texts if self.texts else ()))


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One line of the record of submissions, in the order of time."""

    time: str
    action: str
    """``include``, ``replace``, ``withdraw`` or ``rerun``."""
    run_id: str
    editor: str
    reason: str
    replaces: str | None
    verdict: str | None
    """Agreement of a re-run: ``bits``, ``tolerance`` or ``differs``."""


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One run on the board of its track."""

    run_id: str
    track_id: str
    standing: Standing | None
    """Place of the run's row; None for a run that takes no part in it: partial, failed, or without a headline."""
    editor: str
    distribution: str
    version: str
    seed: int
    status: RunStatus
    edits_done: int
    """Edits survived: after them the run stands at its last good state."""
    edits_planned: int
    effective_edits: Interval
    """The headline, in edits."""
    until_80: EditsUntil
    """Edits until h, of which effective edits are the area, falls under 0.8."""
    until_50: EditsUntil
    """The same with 0.5."""
    relative: Mapping[str, EditsUntil]
    """``editing`` and ``abilities`` → edits until each falls under 80 % of its own start."""
    metrics_at: int | None
    """Number of edits that ``metrics`` and ``abilities_kept`` are about: the track's last checkpoint for finished
    runs, else the last scored one; None before the first checkpoint with edits."""
    metrics: Mapping[str, Interval]
    """Window ``all``; all forms that the task has."""
    abilities_kept: Interval
    """Percent of the pristine model's abilities above chance; a ratio of sums over the tasks that count."""
    seconds_per_edit: float | None
    peak_memory_mb: float | None
    started_at: str | None
    finished_at: str | None
    reason: str | None = None
    """Reason why a run collapsed or failed."""
    dirty: bool = False
    """Some segment ran from a working tree with uncommitted changes."""
    segments: int = 1
    """Number of times the run was started or resumed."""
    submitted: bool = False
    """From a bundle that the ledger includes, not from a run of our own."""
    verified: str | None = None
    """Day on which doing just this content again last agreed with it; None also where a later re-run differed."""
    verified_by: str = ""
    """Agreement of that re-run, and the reason in its line of the ledger, which says who did it and where."""
    row_id: str = ""
    """Runs of a track with the same one differ by their seed alone; empty: the run stands for itself. A submission that
    is not verified has its own."""
    collapse_point: EditsUntil = EditsUntil()
    """Fewest edits at which the efficacy (preference form) was measured under 60 %, as NAS counts; it ranks nobody."""


@dataclass(frozen=True, slots=True)
class Segment:
    """The environment of one start or resumption of a run."""

    index: int
    started_at: str | None
    palimpsest_version: str | None
    commit: str | None
    dirty: bool
    python: str | None
    platform: str | None
    cpu: str | None
    cores: int | None
    threads: int | None
    memory_gb: float | None
    gpu: str | None
    packages: Mapping[str, str]
    command: str | None


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One aggregate."""

    edits: int
    window: str
    metric: str
    interval: Interval
    imputed: bool = False


@dataclass(frozen=True, slots=True)
class TimingSummary:
    """Costs of the batches."""

    batches: int
    edits: int
    seconds_edit: float
    seconds_scoring: float
    seconds_abilities: float
    seconds_per_edit: float | None
    peak_memory_mb: float | None
    phases: Mapping[str, float]
    """Seconds per phase (targets, keys, solve, …), summed over the batches."""
    seconds_generation: float = 0.0
    """Sampling texts."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """One line of the journal, without the batches."""

    time: str | None
    event: str
    edits: int | None
    text: str
    """Message, reason or what was saved, in a few words; may be empty."""


@dataclass(frozen=True, slots=True)
class SampleAnswer:
    """One prompt and what the model said to it before the edits and at each checkpoint."""

    case_id: int
    position: int
    """Place of the case in the edit order, from 0."""
    kind: str
    prompt: str
    target_new: str
    target_true: str
    before: str | None
    """The pristine model's answer; None when the run has no checkpoint at 0."""
    answers: Mapping[int, str]
    """Edits → the answer at that checkpoint (edits above 0)."""
    edited_from: int = 0
    """First number of edits that includes this case (position + 1)."""
