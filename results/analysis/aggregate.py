"""From the outcomes of single probes to what the board shows: metrics with intervals, and the headline.

Aggregates are always computed here, from outcomes, by the present protocol, and never taken from a run folder: that is
also how runs of an older protocol come to be scored by the present one.

**Collapse.** A run that collapsed after N good edits (``result.json``) counts as 0 in every share, score and ability
kept at each planned checkpoint after N; such rows are marked as imputed. In its effective edits the 0 stands at the N
edits themselves. A run that collapsed before its first checkpoint with edits has none.

**Unfinished runs.** A partial or failed run has the effective edits of the checkpoints it reached; it is not ranked. A
finished run of which a checkpoint is missing or damaged counts as partial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from palimpsest.harness.metrics.probes import LATER, SCORES, CaseTable, Outcomes, case_table
from palimpsest.harness.runs.layout import TEXTS
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.harness.specs.windows import WINDOWS, window_size
from palimpsest.results.analysis.abilities import ABILITIES_KEPT, F1_KEPT, AbilityResults, AbilityScore, ability_results
from palimpsest.results.analysis.headline import Headline, headline
from palimpsest.results.analysis.intervals.cases import RESAMPLES, metric_intervals
from palimpsest.results.analysis.intervals.clusters import SHARED, Clusters
from palimpsest.results.analysis.measures.portability import FurtherProbes
from palimpsest.results.analysis.measures.texts import SPECIAL_TOKENS, TextMetrics
from palimpsest.results.reading.run_folder import CheckedRun
from palimpsest.results.reading.tables import filled
from palimpsest.results.reading.text_files import TEXT_METRICS, TOP_METRICS, published_top_metrics
from palimpsest.results.records import Interval, MetricRow, RunStatus

QUALITY = "quality"
"""h, of which effective edits are the area; see `palimpsest.results.analysis.effective_edits`."""


@dataclass(frozen=True, slots=True)
class Aggregates:
    """All that is computed from one run's outcomes."""

    status: RunStatus
    reason: str | None
    edits_done: int
    imputed: tuple[int, ...]
    """Planned checkpoints after a collapse."""
    metrics: list[MetricRow]
    abilities: list[AbilityScore]
    abilities_counted: tuple[str, ...]
    """Ability tasks that count in the abilities kept."""
    headline: Headline


def aggregate_run(run: CheckedRun, *, resamples: int = RESAMPLES) -> Aggregates:
    """Compute everything from the outcomes in ``run``; deterministic.

    Args:
        run: the run.
        resamples: of each interval; 0: values alone, without intervals.
    """
    status, reason = _status(run)
    imputed: tuple[int, ...] = ()
    if status == "collapsed" and run.ending is not None:
        imputed = tuple(p for p in run.spec.schedule.checkpoints if p > run.ending.edits)
    clusters = Clusters.of(*(run.cases[name].to_pylist() for name in ("case_id", *SHARED)))
    further = FurtherProbes(run.probes)
    metrics: list[MetricRow] = []
    tables: dict[int, CaseTable] = {}
    for edits, parts in run.checkpoints.items():
        rows, table = _checkpoint_metrics(
            parts["probes.parquet"], edits, run.spec.task.form, further, clusters, resamples
        )
        metrics += rows
        if table is not None:
            tables[edits] = table
    metrics += _text_metrics(run, clusters, resamples)
    abilities = ability_results(run, resamples)
    metrics += abilities.metrics
    for edits in imputed:
        metrics += _imputed(run.spec, edits, abilities, further.names)
    collapsed_at = run.ending.edits if status == "collapsed" and run.ending is not None else None
    items = abilities.paired if abilities.counted else {}
    form = run.spec.task.form
    found = headline(tables, items, form, collapsed_at=collapsed_at, clusters=clusters, resamples=resamples)
    metrics += [MetricRow(edits, "all", QUALITY, one) for edits, one in found.quality.items()]
    return Aggregates(status, reason, _edits_done(run), imputed, metrics, abilities.scores, abilities.counted, found)


def _status(run: CheckedRun) -> tuple[RunStatus, str | None]:
    if run.ending is None:
        return "partial", None
    due = [p for p in run.spec.schedule.checkpoints if p <= run.ending.edits]
    missing = [str(p) for p in due if p not in run.checkpoints]
    if run.ending.status == "failed":
        return "failed", run.ending.reason
    if missing:
        return "partial", f"ended, but its checkpoints at {', '.join(missing)} edits are missing or damaged"
    return ("collapsed" if run.ending.status == "collapsed" else "complete"), run.ending.reason


def _edits_done(run: CheckedRun) -> int:
    """Edits that are known to be safe: by the result, else by saves and scored checkpoints."""
    if run.ending is not None:
        return run.ending.edits
    saved = [e.get("edits") for _, e in run.events if e["event"] in ("save", "checkpoint")]
    good = [n for n in saved if isinstance(n, int) and 0 <= n <= run.spec.schedule.edits]
    return max([*good, *run.checkpoints, 0])


def _checkpoint_metrics(
    probes: pa.Table, edits: int, form: str, further: FurtherProbes, clusters: Clusters, resamples: int
) -> tuple[list[MetricRow], CaseTable | None]:
    """Metrics of each window, and the per-case values of the window ``all``; before the first edit of all cases."""
    rows: list[MetricRow] = []
    whole: CaseTable | None = None
    optional = (*LATER, *(f"window_{name}" for name in WINDOWS))
    columns = {name: probes[name].to_numpy() for name in probes.column_names if name not in ("kind", *optional)}
    columns |= {name: filled(probes, name) for name in optional}
    kinds = probes["kind"].combine_chunks().dictionary_encode()
    names = np.array(kinds.dictionary.to_pylist(), dtype=np.str_)
    columns["kind"] = names[kinds.indices.to_numpy()]
    for window in WINDOWS:
        inside = columns[f"window_{window}"]
        if not inside.any():
            continue
        chosen = {name: columns[name][inside] for name in (*Outcomes.__slots__, "index")}
        table = case_table(Outcomes.from_columns(chosen), form)
        table = replace(table, values={**table.values, **further.values(chosen)})
        for metric, interval in metric_intervals(table, clusters, resamples=resamples).items():
            rows.append(MetricRow(edits, window, metric, interval))
        if window in ("all", "planned"):
            whole = table
    return rows, whole


def _text_metrics(run: CheckedRun, clusters: Clusters, resamples: int) -> list[MetricRow]:
    """Fluency and consistency at each checkpoint that has sampled texts."""
    tables = {edits: parts[TEXTS] for edits, parts in run.checkpoints.items() if TEXTS in parts and len(parts[TEXTS])}
    if not tables:
        return []
    made, rows = TextMetrics(run.cases, run.probes), []
    for edits, texts in tables.items():
        table = made.table(texts)
        found = metric_intervals(table, clusters, resamples=resamples)
        rows += [MetricRow(edits, "all" if edits else "planned", name, found[name]) for name in table.values]
    return rows


def _imputed(spec: RunSpec, edits: int, found: AbilityResults, further: Sequence[str]) -> list[MetricRow]:
    """Zeros for a checkpoint that a collapsed run did not reach, in all that a failure lowers to 0."""
    forms = ("token_accuracy",) if spec.task.form == "zsre" else ("preference", "argmax")
    scores = [f"score_{form}" for form in forms]
    names = [*scores, *(part for score in scores for part in SCORES[score])]
    names += further
    names += TOP_METRICS if spec.scoring.top else ()
    names += published_top_metrics(spec.task.form) if spec.scoring.published_top else ()
    rows = []
    for window in (name for name in WINDOWS if window_size(name, edits)):
        cases = window_size(window, edits)
        zero = Interval(0.0, 0.0, 0.0, min(cases, spec.scoring.sample or cases))
        held = [QUALITY] if window == "all" else []
        rows += [MetricRow(edits, window, name, zero, imputed=True) for name in sorted([*names, *held])]
    texts = min(spec.scoring.generation.cases, edits)
    if texts:
        zero = Interval(0.0, 0.0, 0.0, texts)
        sampled = [*TEXT_METRICS, *([SPECIAL_TOKENS] if spec.scoring.generation.special_tokens else [])]
        rows += [MetricRow(edits, "all", name, zero, imputed=True) for name in sampled]
    if found.counted:
        rows.append(MetricRow(edits, "", ABILITIES_KEPT, Interval(0.0, 0.0, 0.0, 0), imputed=True))
    if found.metrics and any(row.metric == F1_KEPT for row in found.metrics):
        rows.append(MetricRow(edits, "", F1_KEPT, Interval(0.0, 0.0, 0.0, 0), imputed=True))
    return rows
