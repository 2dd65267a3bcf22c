"""Scoring a model that was edited elsewhere, and its unedited base, by the probes of the same cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from palimpsest import __version__
from palimpsest.harness.errors import UsageError
from palimpsest.harness.metrics.probes import Outcomes, case_table
from palimpsest.harness.model.architectures import is_supported
from palimpsest.harness.model.catalogue import located, resolve
from palimpsest.harness.model.digests import parameter_digests
from palimpsest.harness.model.loading import load_model
from palimpsest.harness.model.placement import Placement, use_threads
from palimpsest.harness.scoring.probes import score_cases
from palimpsest.harness.scoring.self_test import try_architecture
from palimpsest.harness.specs.run_spec import PROTOCOL
from palimpsest.results.analysis.intervals.cases import metric_intervals
from palimpsest.results.analysis.intervals.clusters import Clusters
from palimpsest.results.external import External, Score
from palimpsest.results.records import Interval

if TYPE_CHECKING:
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.cases import Case, EditTask


@dataclass(frozen=True, slots=True)
class _Read:
    """Part that is kept of a model when the next one is loaded."""

    fingerprint: str
    digests: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    tokens: Sequence[Sequence[int]]
    """Token ids of every edit's prompt and new target."""
    metrics: Mapping[str, Interval]


def score_external(
    folder: Path, base: str, task: EditTask, edits: int | None, *, name: str, placement: Placement
) -> External:
    """Score the model in ``folder`` and its base, one after another, on the first edits of a task.

    Args:
        folder: Of transformers, with safetensors.
        base: Name, folder or hub id of the unedited model.
        task: Its first cases are the edits.
        edits: How many; None: all.
        name: What the edited model is called.
        placement: Where the models go.

    Raises:
        UsageError: There are not so many cases, or the two are no models of one architecture and tokenizer.
        MissingResource: A model cannot be loaded.
    """
    if edits is not None and not 1 <= edits <= len(task.cases):
        raise UsageError(f"--edits {edits}: task {task.name} has {len(task.cases)} records; expected 1 to that many.")
    cases = list(task.cases[: edits or len(task.cases)])
    entry = located(resolve(base))
    use_threads(placement)
    read = [
        _read(load_model(str(place), name=called, dtype=entry.dtype, device=placement.device), cases, task.form)
        for place, called in ((entry.folder, entry.name), (folder, name))
    ]
    before, after = read
    _check_same(before, after, entry.name, folder)
    scores = [
        Score(
            metric=metric,
            before=before.metrics[metric].value,
            before_low=before.metrics[metric].low,
            before_high=before.metrics[metric].high,
            value=one.value,
            low=one.low,
            high=one.high,
        )
        for metric, one in after.metrics.items()
        if metric in before.metrics
    ]
    return External(
        name=name,
        base=entry.name,
        base_fingerprint=before.fingerprint,
        fingerprint=after.fingerprint,
        changed=sum(digest != before.digests[parameter] for parameter, digest in after.digests.items()),
        parameters=len(after.digests),
        task=task.name,
        task_hash=task.content_hash,
        form=task.form,
        edits=len(cases),
        protocol=PROTOCOL,
        version=__version__,
        day=f"{datetime.now(UTC):%Y-%m-%d}",
        scores=tuple(scores),
    )


def _read(model: EditableModel, cases: Sequence[Case], form: str) -> _Read:
    if not is_supported(model.model):
        try_architecture(model)
    requests = [case.request for case in cases]
    columns = ([r.case_id for r in requests], *([getattr(r, name) for r in requests] for name in
               ("subject", "target_true", "target_new")))  # fmt: skip
    table = case_table(Outcomes.from_records(score_cases(model, cases)), form)
    texts = [f"{r.prompt.format(r.subject)} {r.target_new}" for r in requests]
    return _Read(
        model.fingerprint,
        parameter_digests(model.model),
        {name: tuple(parameter.shape) for name, parameter in model.model.named_parameters()},
        [model.tokenizer(text)["input_ids"] for text in texts],
        metric_intervals(table, Clusters.of(*columns)),
    )


def _check_same(before: _Read, after: _Read, base: str, folder: Path) -> None:
    """Refuse two models that differ in more than their weights.

    Raises:
        UsageError: They do; says in what.
    """
    if before.shapes != after.shapes:
        odd = sorted(
            name
            for name in before.shapes.keys() | after.shapes.keys()
            if before.shapes.get(name) != after.shapes.get(name)
        )
        raise UsageError(
            f"{folder} is no edited {base}: {len(odd)} parameters are of another shape or in one of them only, as "
            f"{odd[0]}. Name the model that it was edited from with --base."
        )
    if before.tokens != after.tokens:
        raise UsageError(f"{folder} reads texts as other tokens than {base}. Put the tokenizer of the base there.")
