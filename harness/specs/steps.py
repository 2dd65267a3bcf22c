"""The steps of a run: a pure plan from the schedule and from what is done already."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from palimpsest.harness.specs.run_spec import Schedule
from palimpsest.harness.specs.schedule import Batch, batches


@dataclass(frozen=True, slots=True)
class Load:
    """Prepare the editor, and put it at the save after ``edits`` edits; 0: at the beginning."""

    edits: int
    towards: int
    """The checkpoint that the next edits lead to."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Make the edits of one batch."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class Save:
    """Write a save after ``edits`` edits."""

    edits: int


@dataclass(frozen=True, slots=True)
class Score:
    """Measure and write the scores after ``edits`` edits; 0: those of the unedited model."""

    edits: int


@dataclass(frozen=True, slots=True)
class Stop:
    """End here, as partial: the limit is reached."""

    edits: int


Step = Load | Edit | Save | Score | Stop


def steps(
    schedule: Schedule, unscored: Sequence[int], saves: Collection[int] = (), limit: int | None = None
) -> Iterator[Step]:
    """Everything that is left of a run, in order. Each checkpoint is reached from the newest save on the way to it.

    Args:
        schedule: The run's.
        unscored: Its checkpoints without scores, ascending.
        saves: Numbers of edits of the whole saves.
        limit: Stop at the first end of a batch with at least this many edits; None: go on to the last checkpoint.
    """
    at: int | None = None
    for checkpoint in unscored:
        reached = 0 if at is None else at
        save = max((edits for edits in saves if reached < edits <= checkpoint), default=None)
        if checkpoint == 0:
            yield Score(0)
            at = 0
            continue
        if save is not None:
            reached = save
            yield Load(save, checkpoint)
        elif at is None:
            yield Load(0, checkpoint)
        at = reached
        for batch in batches(schedule):
            if not reached <= batch.start < checkpoint:
                continue
            if limit is not None and at >= limit:
                if at > reached:
                    yield Save(at)
                yield Stop(at)
                return
            yield Edit(batch)
            at = batch.stop
        if at > reached:
            yield Save(at)
        yield Score(at)
