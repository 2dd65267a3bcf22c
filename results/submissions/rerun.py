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
from typing import TYPE_CHECKING, Literal

from palimpsest.harness.errors import ConfigError, EditorError, RunFailed
from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.runs import layout
from palimpsest.harness.runs.executor import Executor
from palimpsest.harness.runs.journal import Progress
from palimpsest.harness.runs.replay import check_statistics, task_of
from palimpsest.harness.runs.run import RunSettings
from palimpsest.harness.specs.planning import PlannedRun
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.harness.system.environment import changed_environment, environment_segment
from palimpsest.results.submissions.agreement import Agreement
from palimpsest.results.submissions.bounded import CheckedBundle, compare_bounded
from palimpsest.results.submissions.bundle import Source
from palimpsest.results.submissions.editor_sources import editor_sources

if TYPE_CHECKING:
    from palimpsest.harness.runs.installation import Installation
    from palimpsest.harness.statistics.texts import StatisticsSource

MEAN_NATS = 0.02
DIFFERENT_OUTCOMES = 0.01
Verdict = Literal["bits", "tolerance", "differs"]


@dataclass(frozen=True, slots=True)
class Rerun:
    """Outcome of doing a run again."""

    run: str
    checkpoints: tuple[Agreement, ...]
    platform: tuple[str, ...]
    """Differences between the submitter's machine and this one; empty: the same platform."""
    same_source: bool
    """True if the installed editors' source is that of the submission, to the byte."""

    @property
    def verdict(self) -> Verdict:
        """Bits are asked for on the same platform with the same source, agreement within the tolerances elsewhere."""
        if all(found.same_bits for found in self.checkpoints):
            return "bits"
        near = all(f.mean_nats <= MEAN_NATS and f.different <= DIFFERENT_OUTCOMES for f in self.checkpoints)
        return "tolerance" if near and (self.platform or not self.same_source) else "differs"


def chosen_checkpoints(bundle: CheckedBundle, count: int, seed: int) -> tuple[int, ...]:
    """A seeded sample of at most ``count`` checkpoints with edits that the bundle has scored, ascending."""
    scored = [edits for edits in bundle.scored if edits > 0]
    run = bundle.spec.id if bundle.spec is not None else ""
    return tuple(sorted(random.Random(f"{seed} {run}").sample(scored, min(count, len(scored)))))


def rerun(
    folder: Path,
    bundle: CheckedBundle,
    home: Path,
    progress: Progress,
    installed: Installation,
    *,
    statistics: StatisticsSource | None = None,
    count: int = 2,
    seed: int = 0,
) -> Rerun:
    """Do a run again in a home of its own and compare.

    Args:
        folder: of a bundle.
        bundle: its content, checked, without problems.
        home: folder for the new run; with what is there already the run goes on.
        progress: receives progress events.
        installed: finds tasks, ability tasks and statistics texts.
        statistics: key statistics that the run had in place of the model's own.
        count: number of checkpoints that are compared.
        seed: of their choice.

    Raises:
        EditorError: another version of an editor is installed than the run was made with.
        ConfigError: the task, the model or the statistics are not those of the run.
        MissingResource: they are not here.
        RunFailed: the new run did not get that far, or the bundle was changed meanwhile.
    """
    spec = bundle.spec
    if spec is None or bundle.problems:
        raise ConfigError(f"{folder}: only a bundle without problems is done again.")
    same_source = _require_editors(spec, bundle.editors)
    check_statistics(spec, statistics.digest if statistics else None)
    task = task_of(spec, installed.tasks)
    wanted = chosen_checkpoints(bundle, count, seed)
    command = ("palimpsest", "verify", "--rerun", spec.id)
    segment = environment_segment(command, spec.editor.distribution)
    executor = Executor(
        home,
        progress=progress,
        settings=RunSettings(limit=max(wanted, default=0), command=command),
        installed=installed,
        statistics=statistics.source if statistics else None,
    )
    outcome = executor.execute(PlannedRun(spec, resolve(spec.model.name), task))
    for edits in wanted:
        if not (outcome.folder / layout.SCORES / layout.position(edits)).is_dir():
            raise RunFailed(
                f"The new run is {outcome.status} after {outcome.edits} edits: {outcome.reason or 'stopped'}."
            )
    agreements = compare_bounded(folder, bundle.digest, outcome.folder, wanted)
    segment |= {"threads": environment_segment()["threads"]}  # torch is loaded by now
    ignored = ("commit", "dirty", "palimpsest_version")
    platform = [c for c in changed_environment(bundle.segment, segment) if not c.startswith(ignored)]
    return Rerun(spec.id, tuple(agreements), tuple(platform), same_source)


def _require_editors(spec: RunSpec, sources: Sequence[Source]) -> bool:
    """True if the installed source is that of the submission; an `EditorError` where the version is another."""
    installed = editor_sources(spec.editor.name)
    for theirs, ours in zip(sources, installed, strict=True):
        if (theirs.distribution, theirs.version) != (ours.distribution, ours.version):
            raise EditorError(
                f"Run {spec.id} was made with {theirs.name} of {theirs.distribution} {theirs.version}; installed is "
                f"{ours.distribution} {ours.version}. Install that version: pip install "
                f"{theirs.distribution}=={theirs.version}"
            )
    return [source.sha256 for source in sources] == [source.sha256 for source in installed]
