"""Measurements at a checkpoint, as the tables of a score folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from palimpsest.harness.abilities.items import PERPLEXITY, ROUGE
from palimpsest.harness.metrics.probes import Outcomes, aggregate, case_table, main_score
from palimpsest.harness.runs import layout
from palimpsest.harness.scoring.generation import continuations as continue_prompts
from palimpsest.harness.scoring.generation import sample_texts
from palimpsest.harness.scoring.probes import sample_answers, score_cases
from palimpsest.harness.specs.cases import Case
from palimpsest.harness.specs.windows import choose_generated, choose_windows, ever_scored

if TYPE_CHECKING:
    from palimpsest.harness.abilities.items import AbilityOutcome
    from palimpsest.harness.metrics.diagnostic_definitions import Diagnostic
    from palimpsest.harness.metrics.probes import ProbeOutcome
    from palimpsest.harness.model.editable import EditableModel
    from palimpsest.harness.specs.run_spec import RunSpec

_WINDOWS = ("all", "first", "latest", "planned")
"""Windows that have a column at every checkpoint."""


@dataclass(frozen=True, slots=True)
class Instruments:
    """Instruments that ask the model; weights and random generators stay as they are."""

    model: EditableModel
    abilities: Callable[[int, Sequence[Case]], Sequence[AbilityOutcome]]
    """(edits so far, the cases just scored) → outcomes of the run's ability tasks."""
    score: Callable[..., Sequence[ProbeOutcome]] = score_cases
    """As `palimpsest.harness.scoring.probes.score_cases`."""


def measure(
    spec: RunSpec,
    cases: Sequence[Case],
    edits: int,
    instruments: Instruments,
    continuations: pa.Table | None = None,
) -> tuple[dict[str, pa.Table], dict[str, float]]:
    """All tables that come from asking the model, by file name, and the seconds that took.

    The cases are those of the schedule, in edit order; ``edits`` were made so far. ``continuations`` are the unedited
    model's, made here if ``edits`` is 0.
    """
    begin = time.perf_counter()
    place = {case.request.case_id: position for position, case in enumerate(cases)}
    tables: dict[str, pa.Table] = {}
    if spec.scoring.top and not edits:
        continuations = tables[layout.CONTINUATIONS] = _continuations(spec, cases, place, instruments)
    windows = choose_windows(len(cases), spec.scoring, edits)
    scored = [cases[position] for position in sorted(set().union(*windows.values()))]
    tables[layout.PROBES] = _probes(spec, scored, place, windows, instruments, continuations)
    tables[layout.ANSWERS] = _answers(spec, cases, place, instruments)
    scored_at = time.perf_counter()
    seconds = {"seconds_scoring": scored_at - begin}
    if spec.scoring.generation.cases:
        tables[layout.TEXTS] = _texts(spec, cases, place, edits, instruments)
        sampled_at = time.perf_counter()
        seconds["seconds_generation"] = sampled_at - scored_at
        scored_at = sampled_at
    tables[layout.ABILITIES] = ability_table(instruments.abilities(edits, scored))
    seconds["seconds_abilities"] = time.perf_counter() - scored_at
    return tables, seconds


def _probes(
    spec: RunSpec,
    scored: Sequence[Case],
    place: Mapping[int, int],
    windows: Mapping[str, Sequence[int]],
    instruments: Instruments,
    continuations: pa.Table | None,
) -> pa.Table:
    """Outcome of every scored probe of the cases in this checkpoint's windows."""
    asked: dict[str, Any] = {"reference_tokenisation": True} if spec.scoring.reference_tokenisation else {}
    if continuations is not None:
        asked["continuations"] = _tokens_of(continuations, "tokens")
    if continuations is not None and spec.scoring.published_top:
        asked["first_choices"] = _tokens_of(continuations, "first_choices")
    outcomes = instruments.score(instruments.model, scored, **asked)
    positions = np.array([place[o.case_id] for o in outcomes], np.int32)
    columns: dict[str, Any] = {"position": positions}
    for window in dict.fromkeys([*_WINDOWS, *windows]):
        columns[f"window_{window}"] = np.isin(positions, np.array(list(windows.get(window, ())), np.int32))
    schema = layout.SCORE_COLUMNS[layout.PROBES]
    measured = {name for name in schema.names if "window_" not in name}
    if continuations is None:
        measured -= {"tokens_top", "hits_top", "exact_top"}
    if not spec.scoring.published_top:
        measured -= {"nll_fed", "tokens_fed", "hits_fed", "hits_first"}
    columns |= {name: [getattr(o, name) for o in outcomes] for name in measured - {"position"}}
    return layout.table(schema, columns)


def _texts(
    spec: RunSpec, cases: Sequence[Case], place: Mapping[int, int], edits: int, instruments: Instruments
) -> pa.Table:
    """Sampled texts of some of the edits so far, without their prompts."""
    chosen = [cases[position] for position in choose_generated(len(cases), spec.scoring, edits)]
    texts = sample_texts(instruments.model, chosen, spec.scoring.generation, seed=spec.scoring.seed)
    more = ("spelt",) if spec.scoring.generation.special_tokens else ()
    return layout.table(layout.OPTIONAL_COLUMNS[layout.TEXTS], _written(texts, "generation", place, more))


def _continuations(
    spec: RunSpec, cases: Sequence[Case], place: Mapping[int, int], instruments: Instruments
) -> pa.Table:
    """Answers of the unedited model to the neighborhood prompts of all cases that some checkpoint scores."""
    scored = ever_scored(len(cases), spec.scoring, spec.schedule.checkpoints)
    published = spec.scoring.published_top
    found = continue_prompts(instruments.model, [cases[position] for position in scored], first_choices=published)
    columns = _written(found, "neighborhood", place, ("first_choices",) if published else ())
    return layout.table(layout.OPTIONAL_COLUMNS[layout.CONTINUATIONS], columns)


def _written(found: Sequence[Any], kind: str, place: Mapping[int, int], more: Sequence[str]) -> dict[str, list[Any]]:
    """Columns of what a model wrote, ``more`` among them, and of the place that each case has in the order of edits."""
    measured = {name: [getattr(one, name) for one in found] for name in ("case_id", "index", "text", "tokens", *more)}
    return measured | {"position": [place[one.case_id] for one in found], "kind": [kind] * len(found)}


def _tokens_of(continuations: pa.Table, name: str) -> dict[tuple[int, int], list[int]]:
    """(case id, index of the probe) → what the unedited model says, in the tokens of the column ``name``."""
    columns = (continuations[one].to_pylist() for one in ("case_id", "index", name))
    return {(case_id, index): tokens for case_id, index, tokens in zip(*columns, strict=True)}


def _answers(spec: RunSpec, cases: Sequence[Case], place: Mapping[int, int], instruments: Instruments) -> pa.Table:
    """Greedy answers of the same seeded sample of the whole schedule at every checkpoint."""
    answers = sample_answers(instruments.model, cases, seed=spec.scoring.seed)
    columns: dict[str, Any] = {"position": [place[a.case_id] for a in answers]}
    for name in ("case_id", "kind", "index", "prompt", "text"):
        columns[name] = [getattr(a, name) for a in answers]
    return layout.table(layout.SCORE_COLUMNS[layout.ANSWERS], columns)


def ability_table(outcomes: Sequence[AbilityOutcome]) -> pa.Table:
    """One row for each item of each ability task: the answer given, and what a score is computed from."""
    pairs = [(outcome, item) for outcome in outcomes for item in outcome.items]
    columns: dict[str, Any] = {"ability": [outcome.name for outcome, _ in pairs]}
    for name in ("metric", "chance", "items_hash"):
        columns[name] = [getattr(outcome, name) for outcome, _ in pairs]
    graded = any(item.score is not None for _, item in pairs)  # a run without degrees has no column for them
    for name in ("item", "correct", "predicted", "label", "log_likelihood", "words", *(["score"] if graded else [])):
        columns[name] = [getattr(item, name) for _, item in pairs]
    return layout.table(layout.SCORE_COLUMNS[layout.ABILITIES], columns)


def diagnostics_table(rows: Sequence[Diagnostic]) -> pa.Table:
    """Diagnostics as `palimpsest.harness.diagnostics.tracker.Tracker` measures them."""
    columns = {name: [getattr(row, name) for row in rows] for name in ("name", "layer", "value")}
    return layout.table(layout.SCORE_COLUMNS[layout.DIAGNOSTICS], columns)


def headline(tables: Mapping[str, pa.Table], form: str) -> dict[str, float]:
    """The numbers worth showing while a run goes on: main score of the main window, percent of abilities right.

    What a task has no probes for is left out.
    """
    probes = tables[layout.PROBES]
    columns = {name: probes[name].to_numpy() for name in probes.column_names}
    window = "window_all" if columns["window_all"].any() else "window_planned"
    inside = columns[window].astype(bool)
    result: dict[str, float] = {}
    if inside.any():
        chosen = Outcomes.from_columns({name: column[inside] for name, column in columns.items()})
        metrics = aggregate(case_table(chosen, form))
        names = (main_score(form), *(name for name in metrics if name.startswith("efficacy")))
        shown = (name for name in dict.fromkeys(names) if "magnitude" not in name and not np.isnan(metrics[name]))
        result = {name: metrics[name] for name in shown}
    items = tables[layout.ABILITIES]
    correct = items["correct"].to_numpy()[~np.isin(items["metric"].to_pylist(), (PERPLEXITY, ROUGE))]
    if correct.size:
        result["abilities_right"] = 100.0 * float(correct.mean())
    return result
