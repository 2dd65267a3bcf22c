"""`RunSpec`: everything that can change a number, and nothing else. Its hash is the run's identity."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    JsonValue,
    PlainValidator,
    field_validator,
    model_validator,
)

from palimpsest.harness.system.strict import SilentDefaults, Strict

PROTOCOL = 2
"""Version of what is measured and how; results of different protocols are never ranked together."""

LARGEST = 2**31 - 1
"""Largest count in a spec; tables take no larger ones."""
LARGEST_SEED = 2**63 - 1
MOST_CHECKPOINTS = 10_000
MOST_ABILITIES = 1_000
DEEPEST_CONFIG = 8
"""Lists and objects inside one another in an editor's configuration."""
LONGEST_CONFIG = 100_000
"""Characters of an editor's configuration as JSON."""


class _Frozen(Strict, SilentDefaults):
    pass


class ModelRef(_Frozen):
    """The model: a registry name, folder or hub id, and the fingerprint of its tensors, config and tokenizer."""

    silent = frozenset({"dtype"})

    name: str = Field(min_length=1, max_length=200)
    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Data type of the weights as they are loaded; edited ones have float32 master copies."""


class EditorRef(_Frozen):
    """An editor with its fully resolved configuration and the distribution that provides it."""

    name: str = Field(min_length=1, max_length=200)
    config: dict[str, JsonValue]
    distribution: str = Field(max_length=1000)
    version: str = Field(max_length=1000)

    @field_validator("config", mode="before")
    @classmethod
    def _within_bounds(cls, value: object) -> object:
        """Check that the configuration is JSON of bounded depth and length, without numbers that no table takes."""
        _check_json(value, DEEPEST_CONFIG)
        if len(json.dumps(value)) > LONGEST_CONFIG:
            raise ValueError(f"expected at most {LONGEST_CONFIG} characters of JSON")
        return value


def _check_json(value: object, deepest: int) -> None:
    """Raise a `ValueError` for a number that is not finite or not below 2⁶³, and for too deep a value."""
    if isinstance(value, int) and not -LARGEST_SEED - 1 <= value <= LARGEST_SEED:
        raise ValueError("expected numbers between -2^63 and 2^63 - 1")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"expected finite numbers, got {value}")
    if isinstance(value, dict | list):
        if not deepest:
            raise ValueError(f"expected at most {DEEPEST_CONFIG} lists and objects inside one another")
        for inner in value.values() if isinstance(value, dict) else value:
            _check_json(inner, deepest - 1)


class TaskRef(_Frozen):
    """The data, by content and order."""

    silent = frozenset({"order_hash", "skipped"})

    name: str = Field(min_length=1, max_length=200)
    """A task; behind a colon the name of the file that its data were read from."""
    form: str = Field(pattern=r"^(counterfact|zsre)$")
    content_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of all cases in the data's own order."""
    order_hash: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the case ids in the data's own order; None: the data ship with Palimpsest."""
    skipped: int = Field(default=0, ge=0, le=LARGEST)
    """Bad records that were left out."""


def _order_seed(value: object) -> object:
    # One message for the three forms, where a union of types would give one each.
    if value is None or value == "run" or (type(value) is int and 0 <= value <= LARGEST_SEED):
        return value
    shown = json.dumps(value, default=str)[:60]
    raise ValueError(f'expected a whole number from 0 to {LARGEST_SEED}, or "run", got {shown}')


class Schedule(_Frozen):
    """Number of edits, their order, size of their batches, and the checkpoints."""

    edits: int = Field(ge=1, le=LARGEST)
    batch_size: int = Field(ge=1, le=LARGEST)
    checkpoints: tuple[int, ...] = Field(min_length=1, max_length=MOST_CHECKPOINTS, strict=False)
    order_seed: Annotated[int | Literal["run"] | None, PlainValidator(_order_seed)] = None
    """None: file order. A number: shuffled by it. ``run``: shuffled by the run's seed, so that the seeds of a track
    differ in which cases are edited and when, while all editors of one seed see the same."""

    @property
    def order(self) -> str:
        """In words, e.g. ``file order``."""
        if self.order_seed is None:
            return "file order"
        return "order by the run's seed" if self.order_seed == "run" else f"order seed {self.order_seed}"

    @model_validator(mode="after")
    def _consistent(self) -> Schedule:
        points = self.checkpoints
        if list(points) != sorted(set(points)) or points[0] < 0:
            raise ValueError(f"checkpoints must be ascending, distinct and not negative, got {list(points)}")
        if points[-1] != self.edits:
            raise ValueError(f"the last checkpoint must be the number of edits ({self.edits}), got {points[-1]}")
        off = [p for p in points if p % self.batch_size and p != self.edits]
        if off:
            raise ValueError(f"checkpoints must be multiples of the batch size {self.batch_size}, got {off}")
        return self


class Generation(_Frozen):
    """Sampled texts at a checkpoint, for fluency and consistency: of how many cases, and how."""

    silent = frozenset({"special_tokens"})

    cases: int = Field(default=0, ge=0, le=LARGEST)
    """This many of the edits so far, a seeded sample; 0: no texts."""
    tokens: int = Field(default=100, ge=2, le=2048)
    """Length of a text with its prompt."""
    top_k: int = Field(default=5, ge=1, le=LARGEST)
    """Each token is drawn among so many of highest probability."""
    special_tokens: bool = False
    """Keep the texts with their special tokens, too, as the published code has them (LLaMA's begin-of-text token)."""


class Scoring(_Frozen):
    """Edits that are scored at a checkpoint, and questions beyond the likelihoods of both targets."""

    silent = frozenset({"generation", "top", "published_top", "reference_tokenisation"})

    sample: int | None = Field(default=None, ge=1, le=LARGEST)
    """At most this many cases per window, a seeded sample; None: all."""
    seed: int = Field(default=0, ge=0, le=LARGEST_SEED)
    generation: Generation = Generation()
    top: bool = False
    """Compare neighborhood prompts also with what the unedited model says to them; needs a checkpoint at 0 edits."""
    published_top: bool = False
    """Compare them with it as the code of DeltaEdit and of EasyEdit does, too; goes with ``top``."""
    reference_tokenisation: bool = False
    """Read answers of ZsRE as the published evaluation does with tokenizers that put BOS before a text."""

    def for_form(self, form: str) -> Scoring:
        """The same without what a task of ``form`` has no use for, so that it makes no difference there."""
        changes: dict[str, Any] = {}
        if form == "zsre" or not self.generation.cases:
            changes["generation"] = Generation()
        if form != "zsre":
            changes["reference_tokenisation"] = False
        return self.model_copy(update=changes)


class AbilityRef(_Frozen):
    """One lm-eval task, by the content of its items."""

    name: str = Field(min_length=1, max_length=200)
    content_hash: str = Field(max_length=200)
    limit: int | None = Field(default=None, ge=1, le=LARGEST)


class RunSpec(_Frozen):
    """One run: an editor on a model over a task, in a schedule, with a seed."""

    silent = frozenset({"statistics"})

    protocol: int = Field(default=PROTOCOL, ge=1, le=LARGEST)
    model: ModelRef
    editor: EditorRef
    task: TaskRef
    schedule: Schedule
    scoring: Scoring
    abilities: tuple[AbilityRef, ...] = Field(strict=False, max_length=MOST_ABILITIES)
    seed: int = Field(default=0, ge=0, le=LARGEST_SEED)
    statistics: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the text or the recorded moments that key statistics come from, where not the model's own."""

    @model_validator(mode="after")
    def _has_what_top_needs(self) -> RunSpec:
        check_top(self.schedule, self.scoring)
        return self

    def canonical(self) -> str:
        """The one JSON text of this spec: sorted keys, no spaces."""
        return _canonical(self.model_dump(mode="json"))

    @property
    def id(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical JSON."""
        return _digest(self.canonical())

    @property
    def track_id(self) -> str:
        """Identity of the track, within which alone runs are ranked: all but editor and seed."""
        return _digest(_canonical(self.model_dump(mode="json", exclude={"editor", "seed"})))


def check_top(schedule: Schedule, scoring: Scoring) -> None:
    """`Scoring.top` compares with what is measured before the first edit.

    Raises:
        ValueError: Nothing is measured there, or its published forms are asked for alone.
    """
    if scoring.top and schedule.checkpoints[0] != 0:
        raise ValueError("scoring.top compares with the unedited model: it needs a checkpoint at 0 edits")
    if scoring.published_top and not scoring.top:
        raise ValueError("scoring.published_top goes with scoring.top: ask for both (--top --published-top)")


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
