"""Doing a submitted run again, up to some of its checkpoints, and comparing what every probe and item gave.

On the same platform (processor, threads, package versions) a run on the CPU must give the same bits. Elsewhere rounding
moves likelihoods in their last digits, edits feed that back, and near ties fall the other way: there the mean change of
a likelihood must be at most 0.02 nats, and at most 1 % of the outcomes may differ.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from palimpsest.harness.errors import EditorError, RunFailed
from palimpsest.harness.plugins.source_hash import editor_sources
from palimpsest.harness.runs.executor import Executor
from palimpsest.harness.runs.layout import TEXTS
from palimpsest.harness.runs.progress import Progress
from palimpsest.harness.runs.replay import check_statistics, task_of
from palimpsest.harness.runs.run import RunSettings
from palimpsest.harness.specs.planning import PlannedRun
from palimpsest.harness.system.environment import changed_environment, environment_segment
from palimpsest.results.reading.run_folder import CheckedRun
from palimpsest.results.reading.score_folder import read_score_folder
from palimpsest.results.reading.tables import filled
from palimpsest.results.submissions.bundle import Source

if TYPE_CHECKING:
    from palimpsest.harness.runs.installation import Installation
    from palimpsest.harness.statistics.texts import StatisticsSource

MEAN_NATS = 0.02
DIFFERENT_OUTCOMES = 0.01
_PROBE = ("case_id", "kind", "index")
_SIDES = ("new", "true", "top")
Verdict = Literal["bits", "tolerance", "differs"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How one checkpoint agrees."""

    edits: int
    same_bits: bool
    mean_nats: float
    """Mean absolute difference of the finite likelihoods."""
    different: float
    """Share of probes and ability items that were answered otherwise."""


@dataclass(frozen=True, slots=True)
class Rerun:
    """What doing it again showed."""

    run: str
    checkpoints: tuple[Agreement, ...]
    platform: tuple[str, ...]
    """What differs between the submitter's machine and this one; empty: the same platform."""
    same_source: bool
    """Whether the installed editors' source is that of the submission, to the byte."""

    @property
    def verdict(self) -> Verdict:
        """Bits are asked for on the same platform with the same source, agreement within the tolerances elsewhere."""
        if all(found.same_bits for found in self.checkpoints):
            return "bits"
        near = all(f.mean_nats <= MEAN_NATS and f.different <= DIFFERENT_OUTCOMES for f in self.checkpoints)
        return "tolerance" if near and (self.platform or not self.same_source) else "differs"


def chosen_checkpoints(run: CheckedRun, count: int, seed: int) -> tuple[int, ...]:
    """A seeded sample of the checkpoints with edits that the run has scored."""
    scored = [edits for edits in run.checkpoints if edits > 0]
    return tuple(sorted(random.Random(f"{seed} {run.run_id}").sample(scored, min(count, len(scored)))))


def rerun(
    run: CheckedRun,
    sources: Sequence[Source],
    home: Path,
    progress: Progress,
    installed: Installation,
    *,
    statistics: StatisticsSource | None = None,
    count: int = 2,
    seed: int = 0,
) -> Rerun:
    """Do ``run`` again in a home of its own and compare.

    Args:
        run: The checked content of a bundle.
        sources: The editors that it names.
        home: Folder for the new run; with what is there already the run goes on.
        progress: Is told how it goes.
        installed: Finds tasks, ability tasks and statistics texts.
        statistics: Key statistics that the run had in place of the model's own.
        count: How many checkpoints are compared.
        seed: Which ones.

    Raises:
        EditorError: Another version of an editor is installed than the run was made with.
        ConfigError: The task, the model or the statistics are not those of the run.
        MissingResource: They are not here.
        RunFailed: The new run did not get that far.
    """
    same_source = _require_editors(run, sources)
    check_statistics(run.spec, statistics.digest if statistics else None)
    task = task_of(run.spec, installed.tasks)
    wanted = chosen_checkpoints(run, count, seed)
    command = ("palimpsest", "verify", "--rerun", run.run_id)
    segment = environment_segment(command, run.spec.editor.distribution)
    executor = Executor(
        home,
        progress=progress,
        settings=RunSettings(limit=max(wanted, default=0), command=command),
        installed=installed,
        statistics=statistics.source if statistics else None,
    )
    outcome = executor.execute(PlannedRun(run.spec, run.spec.model.name, task))
    agreements = []
    for edits in wanted:
        folder = outcome.folder / "scores" / f"{edits:06d}"
        if not folder.is_dir():
            raise RunFailed(
                f"The new run is {outcome.status} after {outcome.edits} edits: {outcome.reason or 'stopped'}."
            )
        agreements.append(_compared(run.checkpoints[edits], read_score_folder(folder, edits), edits))
    before = run.segments[-1] if run.segments else {}
    segment |= {"threads": environment_segment()["threads"]}  # torch is loaded by now
    ignored = ("commit", "dirty", "palimpsest_version")
    platform = [c for c in changed_environment(before, segment) if not c.startswith(ignored)]
    return Rerun(run.run_id, tuple(agreements), tuple(platform), same_source)


def _require_editors(run: CheckedRun, sources: Sequence[Source]) -> bool:
    installed = editor_sources(run.spec.editor.name)
    for theirs, ours in zip(sources, installed, strict=True):
        if (theirs.distribution, theirs.version) != (ours.distribution, ours.version):
            raise EditorError(
                f"Run {run.run_id} was made with {theirs.name} of {theirs.distribution} {theirs.version}; installed is "
                f"{ours.distribution} {ours.version}. Install that version: pip install "
                f"{theirs.distribution}=={theirs.version}"
            )
    return [source.sha256 for source in sources] == [source.sha256 for source in installed]


def _compared(theirs: dict[str, pa.Table], ours: dict[str, pa.Table], edits: int) -> Agreement:
    keys: dict[str, tuple[str, ...]] = {"probes.parquet": _PROBE, "abilities.parquet": ("ability", "item")}
    keys |= {TEXTS: _PROBE} if TEXTS in theirs and TEXTS in ours else {}
    pairs = [(_sorted(theirs[name], by), _sorted(ours[name], by)) for name, by in keys.items()]
    if any(not one.select(by).equals(other.select(by)) for (one, other), by in zip(pairs, keys.values(), strict=True)):
        return Agreement(edits, same_bits=False, mean_nats=float("inf"), different=1.0)  # other questions
    (probes, own_probes), (items, own_items) = pairs[:2]
    nats = [_nats(probes, own_probes, side) for side in ("nll_new", "nll_true")]
    outcomes = [_unequal(probes, own_probes, f"{what}_{side}") for what in ("exact", "hits") for side in _SIDES]
    answered = np.concatenate([np.any(outcomes, axis=0), _unequal(items, own_items, "correct")])
    return Agreement(
        edits,
        same_bits=all(one.equals(other) for one, other in pairs),
        mean_nats=float(np.concatenate(nats).mean()) if len(probes) else 0.0,
        different=float(answered.mean()) if answered.size else 0.0,
    )


def _sorted(table: pa.Table, by: Sequence[str]) -> pa.Table:
    return table.sort_by([(name, "ascending") for name in by]).combine_chunks()


def _nats(one: pa.Table, other: pa.Table, column: str) -> Any:
    """Absolute differences; infinite where only one of the two is a number."""
    a, b = one[column].to_numpy(), other[column].to_numpy()
    with np.errstate(invalid="ignore"):
        difference = np.abs(a - b)
    neither = ~np.isfinite(a) & ~np.isfinite(b)
    return np.where(neither, 0.0, np.where(np.isfinite(a) & np.isfinite(b), difference, np.inf))


def _unequal(one: pa.Table, other: pa.Table, column: str) -> Any:
    return filled(one, column) != filled(other, column)
