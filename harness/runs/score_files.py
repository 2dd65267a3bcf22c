"""What is measured at a checkpoint, as the Parquet files of a score folder."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from palimpsest.harness.specs.cases import Case
from palimpsest.harness.specs.run_spec import RunSpec, Scoring
from palimpsest.harness.specs.windows import choose_generated, ever_scored

if TYPE_CHECKING:
    from palimpsest.harness.abilities.items import AbilityOutcome
    from palimpsest.harness.metrics.diagnostic_definitions import Diagnostic
    from palimpsest.harness.metrics.probes import ProbeOutcome
    from palimpsest.harness.scoring.generation import Continuation, SampledText
    from palimpsest.harness.scoring.probes import Answer, Continuations

from palimpsest.harness.abilities.items import PERPLEXITY

PROBES, ANSWERS, ABILITIES = "probes.parquet", "answers.parquet", "abilities.parquet"
DIAGNOSTICS = "diagnostics.parquet"
SCORE_FILES = (PROBES, ANSWERS, ABILITIES, DIAGNOSTICS)
"""What every score folder holds."""
TEXTS, CONTINUATIONS = "texts.parquet", "continuations.parquet"
"""Sampled texts, where the spec asks for them; what the unedited model says, at 0 edits where the spec asks for it."""
_WINDOWS = ("all", "first", "latest", "planned")
"""Those that have a column at every checkpoint."""
_ITEM_COLUMNS = {
    "item": pa.int32(),
    "correct": pa.bool_(),
    "predicted": pa.int32(),
    "label": pa.int32(),
    "log_likelihood": pa.float64(),
    "words": pa.int32(),
}


class Instruments(Protocol):
    """What asks the model; it must leave weights and random generators as they are."""

    def windows(self, positions: int, sampling: Scoring, edits: int) -> Mapping[str, Sequence[int]]:
        """Window → positions of the cases scored at ``edits``, ascending."""

    def score(
        self, cases: Sequence[Case], continuations: Continuations | None = None, *, reference_tokenisation: bool = False
    ) -> Sequence[ProbeOutcome]:
        """Outcomes of all scored probes of these cases; see `palimpsest.harness.scoring.probes.score_cases`."""

    def answers(self, cases: Sequence[Case], seed: int) -> Sequence[Answer]:
        """Greedy answers to some prompts of a sample of these cases."""

    def texts(self, cases: Sequence[Case], scoring: Scoring) -> Sequence[SampledText]:
        """Texts sampled behind the generation prompts of these cases."""

    def continuations(self, cases: Sequence[Case]) -> Sequence[Continuation]:
        """What the model says to the neighborhood prompts of these cases."""

    def abilities(self, edits: int) -> Sequence[AbilityOutcome]:
        """Outcomes of the run's ability tasks after ``edits`` edits; those of the unedited model may be remembered."""


def score_files(spec: RunSpec, edits: int) -> tuple[str, ...]:
    """Names of all files of a score folder of a run."""
    texts = (TEXTS,) if spec.scoring.generation.cases else ()
    return (*SCORE_FILES, *texts, *((CONTINUATIONS,) if spec.scoring.top and not edits else ()))


def model_files(
    spec: RunSpec, cases: Sequence[Case], edits: int, instruments: Instruments, continuations: bytes | None = None
) -> tuple[dict[str, bytes], dict[str, float]]:
    """All files that come from asking the model, and the seconds that took.

    Args:
        spec: The run.
        cases: Those of the schedule, in edit order.
        edits: Made so far.
        instruments: Ask the model.
        continuations: The file of them that was made of the unedited model; it is made if ``edits`` is 0.
    """
    clock = [time.perf_counter()]
    files: dict[str, bytes] = {}
    if spec.scoring.top and not edits:
        continuations = files[CONTINUATIONS] = continuation_file(spec, cases, instruments)
    files[PROBES] = probe_file(spec, cases, edits, instruments, continuations)
    files[ANSWERS] = answer_file(spec, cases, instruments)
    clock.append(time.perf_counter())
    seconds = {"seconds_scoring": clock[1] - clock[0]}
    if spec.scoring.generation.cases:
        files[TEXTS] = text_file(spec, cases, edits, instruments)
        clock.append(time.perf_counter())
        seconds["seconds_generation"] = clock[2] - clock[1]
    files[ABILITIES] = ability_file(instruments.abilities(edits))
    return files, seconds | {"seconds_abilities": time.perf_counter() - clock[-1]}


def probe_file(
    spec: RunSpec, cases: Sequence[Case], edits: int, instruments: Instruments, continuations: bytes | None = None
) -> bytes:
    """Outcome of every scored probe of the cases in this checkpoint's windows; ``cases`` are in schedule order."""
    windows = instruments.windows(len(cases), spec.scoring, edits)
    scored = sorted({position for positions in windows.values() for position in positions})
    asked: dict[str, Any] = {"reference_tokenisation": True} if spec.scoring.reference_tokenisation else {}
    if continuations is not None:
        asked["continuations"] = read_continuations(continuations)
    outcomes = instruments.score([cases[position] for position in scored], **asked)
    place = {cases[position].request.case_id: position for position in scored}
    positions = np.array([place[o.case_id] for o in outcomes], np.int32)
    columns: dict[str, Any] = {
        "case_id": pa.array([o.case_id for o in outcomes], pa.int64()),
        "position": pa.array(positions, pa.int32()),
        "kind": pa.array([o.kind for o in outcomes], pa.string()),
        "index": pa.array([o.index for o in outcomes], pa.int32()),
    }
    for side in ("new", "true"):
        columns[f"nll_{side}"] = pa.array([getattr(o, f"nll_{side}") for o in outcomes], pa.float64())
    for name in ("tokens_new", "tokens_true", "hits_new", "hits_true"):
        columns[name] = pa.array([getattr(o, name) for o in outcomes], pa.int32())
    for name in ("exact_new", "exact_true"):
        columns[name] = pa.array([getattr(o, name) for o in outcomes], pa.bool_())
    if continuations is not None:
        columns |= {n: pa.array([getattr(o, n) for o in outcomes], pa.int32()) for n in ("tokens_top", "hits_top")}
        columns["exact_top"] = pa.array([o.exact_top for o in outcomes], pa.bool_())
    for window in dict.fromkeys([*_WINDOWS, *windows]):
        inside = np.isin(positions, np.array(list(windows.get(window, ())), np.int32))
        columns[f"window_{window}"] = pa.array(inside, pa.bool_())
    return parquet_bytes(columns)


def text_file(spec: RunSpec, cases: Sequence[Case], edits: int, instruments: Instruments) -> bytes:
    """Sampled texts of some of the edits so far, without their prompts."""
    chosen = [cases[position] for position in choose_generated(len(cases), spec.scoring, edits)]
    texts = instruments.texts(chosen, spec.scoring)
    place = {case.request.case_id: position for position, case in enumerate(cases)}
    return parquet_bytes(
        {
            "case_id": pa.array([t.case_id for t in texts], pa.int64()),
            "position": pa.array([place[t.case_id] for t in texts], pa.int32()),
            "kind": pa.array(["generation"] * len(texts), pa.string()),
            "index": pa.array([t.index for t in texts], pa.int32()),
            "text": pa.array([t.text for t in texts], pa.string()),
            "tokens": pa.array([t.tokens for t in texts], pa.int32()),
        }
    )


def continuation_file(spec: RunSpec, cases: Sequence[Case], instruments: Instruments) -> bytes:
    """What the unedited model says to the neighborhood prompts of all cases that some checkpoint scores."""
    scored = ever_scored(len(cases), spec.scoring, spec.schedule.checkpoints)
    found = instruments.continuations([cases[position] for position in scored])
    place = {case.request.case_id: position for position, case in enumerate(cases)}
    return parquet_bytes(
        {
            "case_id": pa.array([c.case_id for c in found], pa.int64()),
            "position": pa.array([place[c.case_id] for c in found], pa.int32()),
            "kind": pa.array(["neighborhood"] * len(found), pa.string()),
            "index": pa.array([c.index for c in found], pa.int32()),
            "text": pa.array([c.text for c in found], pa.string()),
            "tokens": pa.array([list(c.tokens) for c in found], pa.list_(pa.int32())),
        }
    )


def read_continuations(content: bytes) -> dict[tuple[int, int], list[int]]:
    """(case id, index of the probe) → the unedited model's continuation in tokens, as `continuation_file` wrote it."""
    table = pq.read_table(io.BytesIO(content))
    columns = (table[name].to_pylist() for name in ("case_id", "index", "tokens"))
    return {(case_id, index): tokens for case_id, index, tokens in zip(*columns, strict=True)}


def answer_file(spec: RunSpec, cases: Sequence[Case], instruments: Instruments) -> bytes:
    """Greedy answers of the same seeded sample of the whole schedule at every checkpoint."""
    answers = instruments.answers(cases, spec.scoring.seed)
    place = {case.request.case_id: position for position, case in enumerate(cases)}
    return parquet_bytes(
        {
            "case_id": pa.array([a.case_id for a in answers], pa.int64()),
            "position": pa.array([place[a.case_id] for a in answers], pa.int32()),
            "kind": pa.array([a.kind for a in answers], pa.string()),
            "index": pa.array([a.index for a in answers], pa.int32()),
            "prompt": pa.array([a.prompt for a in answers], pa.string()),
            "text": pa.array([a.text for a in answers], pa.string()),
        }
    )


def ability_file(outcomes: Sequence[AbilityOutcome]) -> bytes:
    """What became of each item of each ability task: the answer given, and what a score is computed from."""
    rows = [
        (o.name, o.metric, o.chance, o.items_hash, *(getattr(i, name) for name in _ITEM_COLUMNS))
        for o in outcomes
        for i in o.items
    ]
    kinds = {
        "ability": pa.string(),
        "metric": pa.string(),
        "chance": pa.float64(),
        "items_hash": pa.string(),
        **_ITEM_COLUMNS,
    }
    return parquet_bytes(
        {name: pa.array([row[place] for row in rows], kind) for place, (name, kind) in enumerate(kinds.items())}
    )


def diagnostics_file(rows: Sequence[Diagnostic]) -> bytes:
    """Diagnostics as `palimpsest.harness.diagnostics.tracker.Tracker` measures them."""
    return parquet_bytes(
        {
            "name": pa.array([row.name for row in rows], pa.string()),
            "layer": pa.array([row.layer for row in rows], pa.int32()),
            "value": pa.array([row.value for row in rows], pa.float64()),
        }
    )


def parquet_bytes(columns: Mapping[str, Any]) -> bytes:
    """A table as Parquet; the same columns give the same bytes."""
    stream = io.BytesIO()
    pq.write_table(pa.table(dict(columns)), stream, compression="zstd")
    return stream.getvalue()


def headline(files: Mapping[str, bytes], form: str) -> dict[str, float]:
    """The numbers worth showing while a run goes on: main score of the main window, percent of abilities right."""
    from palimpsest.harness.metrics.probes import Outcomes, aggregate, case_table, main_score

    table = pq.read_table(io.BytesIO(files[PROBES]))
    columns = {name: table[name].to_numpy() for name in table.column_names}
    window = "window_all" if columns["window_all"].any() else "window_planned"
    inside = columns[window].astype(bool)
    result: dict[str, float] = {}
    if inside.any():
        metrics = aggregate(
            case_table(Outcomes.from_columns({name: column[inside] for name, column in columns.items()}), form)
        )
        names = (main_score(form), *(name for name in metrics if name.startswith("efficacy")))
        result = {name: metrics[name] for name in dict.fromkeys(names) if "magnitude" not in name}
    items = pq.read_table(io.BytesIO(files[ABILITIES]))
    correct = items["correct"].to_numpy()[items["metric"].to_numpy() != PERPLEXITY]
    if correct.size:
        result["abilities_right"] = 100.0 * float(correct.mean())
    return result
