"""Questions about many runs at once: what the site is built from.

A question about one run reads whole columns of a table, as one about a hundred does; so the site asks by the hundred.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from palimpsest.harness.metrics.probes import main_score
from palimpsest.results.reading.text_files import asked_beyond
from palimpsest.results.records import EventRow, SampleAnswer, Segment, TimingSummary, Track
from palimpsest.results.store.database import Store
from palimpsest.results.store.track_cases import tracks_of_own_cases

T = TypeVar("T")
_AMONG = "run_id IN (SELECT unnest(?))"


class RunHead(NamedTuple):
    """Facts that decide where a run belongs, and whether anything about it changed."""

    run_id: str
    track_id: str
    row_id: str
    texts_hash: str
    digest: str
    """Changes with every number of the run and with every line of the ledger about it."""
    editor: str
    distribution: str
    version: str
    model: str
    task: str
    edits: int
    place: str = ""
    """Changes with the place of its row on the track's board, which rests on the courses of all rows."""
    came: str = ""
    """Time at which it ended, or else began."""
    submitted: bool = False
    verified: str | None = None
    """Day since which it counts as done again with the same numbers; None if it does not."""


class Series(NamedTuple):
    """One metric of one run over its checkpoints, as columns."""

    metric: str
    window: str
    edits: list[int]
    value: list[float | None]
    low: list[float | None]
    high: list[float | None]
    imputed: list[int]
    """Numbers of edits at which the value is 0 because the run had collapsed."""


class Course(NamedTuple):
    """One case of one run; ``course`` is described in `courses`."""

    position: int
    case_id: int
    course: str


class Text(NamedTuple):
    """Texts that one case edits and asks."""

    position: int
    subject: str
    prompt: str
    target_new: str
    target_true: str
    probes: list[tuple[str, str, str, str]]
    """Kind, prompt and both targets, in the order of a course's characters."""


def run_heads(store: Store) -> list[RunHead]:
    """All runs, by id."""
    return [
        RunHead(*row)
        for row in store.rows(
            "SELECT run_id, track_id, row_id, texts_hash, md5(digest || coalesce(l.lines, '')), editor, distribution,"
            " version, model, task, edits_planned, md5(concat_ws(' ', courses, effective_edits, low, high, rank_low,"
            " rank_high)), coalesce(finished_at, started_at, ''), submitted, verified FROM shown_runs"
            " LEFT JOIN standings USING (track_id, row_id) LEFT JOIN (SELECT run AS run_id,"
            " string_agg(time || action || coalesce(verdict, '') || coalesce(digest, ''), '' ORDER BY line) AS lines"
            " FROM ledger GROUP BY run) l USING (run_id) ORDER BY run_id"
        )
    ]


_SCORES = """
SELECT run_id, metric, "window", list(edits ORDER BY edits), list(round(value, 3) ORDER BY edits),
    list(round(low, 3) ORDER BY edits), list(round(high, 3) ORDER BY edits),
    coalesce(list(edits ORDER BY edits) FILTER (imputed), [])
FROM metrics WHERE {among} GROUP BY ALL ORDER BY run_id, metric, "window"
"""
_ABILITIES = """
SELECT run_id, 'ability:' || ability, '', list(edits ORDER BY edits), list(round(score, 3) ORDER BY edits),
    list(round(low, 3) ORDER BY edits), list(round(high, 3) ORDER BY edits), []
FROM ability_scores WHERE {among} GROUP BY run_id, ability ORDER BY run_id, ability
"""
_TIMES = """
SELECT run_id, 'seconds_per_edit', '', list(edits ORDER BY batch), list(seconds ORDER BY batch), [], [], []
FROM (SELECT run_id, batch, edits, seconds_edit / nullif(edits - lag(edits, 1, 0) OVER (PARTITION BY run_id ORDER BY
    batch), 0) AS seconds FROM timings WHERE {among}) GROUP BY run_id ORDER BY run_id
"""
_DIAGNOSTICS = """
SELECT run_id, name || coalesce(':' || layer, ''), '', list(edits ORDER BY edits),
    list(CASE WHEN isfinite(value) THEN value END ORDER BY edits), [], [], []
FROM diagnostics WHERE {among} GROUP BY run_id, name, layer ORDER BY run_id, name, layer
"""


def series(store: Store, run_ids: Sequence[str]) -> dict[str, list[Series]]:
    """Scores by window, abilities kept, each ability and seconds per edit of some runs."""
    return _grouped(store, (_SCORES, _ABILITIES, _TIMES), run_ids, lambda row: Series(*row))


def table_series(store: Store, track_id: str) -> dict[str, list[Series]]:
    """Scores of all edits so far, and abilities kept, of all runs of a track."""
    run_ids = [row[0] for row in store.rows("SELECT run_id FROM runs WHERE track_id = ? ORDER BY run_id", [track_id])]
    wanted = "{among} AND \"window\" IN ('all', '') AND (starts_with(metric, 'score_') OR starts_with(metric,"
    wanted += " 'efficacy_') OR starts_with(metric, 'paraphrase_') OR starts_with(metric, 'neighborhood_') OR metric ="
    wanted += " 'abilities_kept' OR metric IN ('quality', 'fluency', 'fluency_special_tokens', 'consistency_own',"
    wanted += f" 'locality_easyedit') OR regexp_full_match(metric, '{_FURTHER}'))"
    return _grouped(store, (_SCORES.replace("{among}", wanted),), run_ids, lambda row: Series(*row))


_TRACK_COLUMNS = (
    *("track_id", "model", "model_fingerprint", "task", "task_form", "batch_size", "edit_order", "protocol"),
    *("sample", "runs", "task_hash"),
)
"""Fields of a track that have the same name in its rows."""
_FURTHER = "(portability|multi_hop|distracting)_(argmax|token_accuracy)"
"""Metrics of probes that only some data have, as they stand on boards."""


def track_heads(store: Store, track_id: str | None = None) -> list[Track]:
    """Tracks without their pairs, by model, task and length.

    Args:
        store: an open store.
        track_id: the only one wanted; None: all.
    """
    rows = store.records(
        "SELECT DISTINCT ON (track_id) r.* EXCLUDE (abilities_counted), n.runs, n.counted FROM runs r JOIN (SELECT"
        " track_id, count(*) AS runs, list_sort(list_distinct(flatten(list(abilities_counted)))) AS counted FROM runs"
        " GROUP BY track_id) n USING (track_id) WHERE track_id = coalesce(?, track_id) ORDER BY track_id, run_id",
        [track_id],
    )
    further: dict[str, list[str]] = {}
    for track, metric in store.rows(
        "SELECT DISTINCT track_id, metric FROM metrics JOIN runs USING (run_id) WHERE track_id = coalesce(?, track_id)"
        " AND regexp_full_match(metric, ?) ORDER BY ALL",
        [track_id, _FURTHER],
    ):
        further.setdefault(track, []).append(metric)
    own_cases = tracks_of_own_cases(store, track_id)
    found = [
        Track(
            edits=row["edits_planned"],
            checkpoints=tuple(row["checkpoints"]),
            abilities=tuple(row["abilities"]),
            abilities_counted=tuple(row["counted"]),
            main_metric=main_score(row["task_form"]),
            own_cases=row["track_id"] in own_cases,
            further=tuple(name for name in further.get(row["track_id"], ()) if name.endswith(_form(row["task_form"]))),
            **asked_beyond(row["spec"]),
            **{name: row[name] for name in _TRACK_COLUMNS},
        )
        for row in rows
    ]
    return sorted(found, key=lambda t: (t.model, t.task, t.edits, t.batch_size, t.track_id))


def _form(task_form: str) -> str:
    """The end of the names of metrics that go with the headline."""
    return main_score(task_form).removeprefix("score")


def diagnostic_series(store: Store, run_ids: Sequence[str]) -> dict[str, list[Series]]:
    """Diagnostics of some runs; the metric is the name, and behind a colon the layer if there is one."""
    return _grouped(store, (_DIAGNOSTICS,), run_ids, lambda row: Series(*row))


def courses(store: Store, run_ids: Sequence[str]) -> dict[str, list[Course]]:
    """Course of each case, in edit order."""
    sql = "SELECT run_id, position, case_id, course FROM case_courses WHERE {among} ORDER BY run_id, position"
    return _grouped(store, (sql,), run_ids, lambda row: Course(*row))


def ability_courses(store: Store, run_ids: Sequence[str]) -> dict[str, list[tuple[str, float, int, str]]]:
    """Ability, chance (percent), edits, and which items were right."""
    sql = (
        "SELECT run_id, ability, chance, edits, items FROM ability_courses WHERE {among}"
        " ORDER BY run_id, ability, edits"
    )
    return _grouped(store, (sql,), run_ids, lambda row: (row[0], row[1], row[2], row[3]))


def texts(store: Store, run_id: str) -> list[Text]:
    """Texts that one run edits and asks, in edit order."""
    probes: dict[int, list[tuple[str, str, str, str]]] = {}
    for case_id, *probe in store.rows(
        "SELECT case_id, kind, prompt, target_new, target_true FROM probes WHERE run_id = ?"
        " AND kind IN ('rewrite', 'paraphrase', 'neighborhood')"
        " ORDER BY case_id, kind = 'neighborhood', kind = 'paraphrase', index",
        [run_id],
    ):
        probes.setdefault(case_id, []).append((probe[0], probe[1], probe[2], probe[3]))
    return [
        Text(position, subject, prompt, new, true, probes.get(case_id, []))
        for position, case_id, subject, prompt, new, true in store.rows(
            "SELECT position, case_id, subject, prompt, target_new, target_true FROM cases WHERE run_id = ?"
            " ORDER BY position",
            [run_id],
        )
    ]


def specs(store: Store, run_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Run id → its spec."""
    rows = store.rows(f"SELECT run_id, spec FROM runs WHERE {_AMONG}", [list(run_ids)])
    return {run_id: json.loads(spec) for run_id, spec in rows}


def segments(store: Store, run_ids: Sequence[str]) -> dict[str, list[Segment]]:
    """The environment of each start or resumption."""
    found: dict[str, list[Segment]] = {run_id: [] for run_id in run_ids}
    sql = f"SELECT * RENAME (segment AS index) FROM environment WHERE {_AMONG} ORDER BY run_id, segment"
    for row in store.records(sql, [list(run_ids)]):
        found[row.pop("run_id")].append(Segment(**row | {"packages": json.loads(row["packages"])}))
    return found


def timings(store: Store, run_ids: Sequence[str]) -> dict[str, TimingSummary]:
    """Costs of the batches and the scoring."""
    phases = _grouped(
        store,
        (f"SELECT run_id, name, sum(value) FROM batch_reports WHERE {_AMONG} AND kind = 'seconds' GROUP BY ALL"
         " ORDER BY ALL",),
        run_ids,
        lambda row: (row[0], row[1]),
    )  # fmt: skip
    sql = f"""
    SELECT run_id, coalesce(texts, 0), coalesce(batches, 0), coalesce(t.edits, 0), coalesce(seconds, 0),
        coalesce(scoring, 0), coalesce(abilities, 0), seconds_per_edit, peak_memory_mb
    FROM (SELECT run_id, seconds_per_edit, peak_memory_mb FROM runs WHERE {_AMONG})
    LEFT JOIN (SELECT run_id, count(*) AS batches, max(edits) AS edits, sum(seconds_edit) AS seconds FROM timings
        WHERE {_AMONG} GROUP BY run_id) t USING (run_id)
    LEFT JOIN (SELECT run_id, sum(seconds_scoring) AS scoring, sum(seconds_abilities) AS abilities,
        sum(seconds_generation) AS texts FROM checkpoints WHERE {_AMONG} GROUP BY run_id) USING (run_id)
    """
    rows = store.rows(sql, [list(run_ids)] * 3)
    return {run_id: TimingSummary(*(*values, dict(phases[run_id]), texts)) for run_id, texts, *values in rows}


def events(store: Store, run_ids: Sequence[str]) -> dict[str, list[EventRow]]:
    """The journals, without the batches."""
    sql = "SELECT run_id, time, event, edits, text FROM events WHERE {among} ORDER BY run_id, line"
    return _grouped(store, (sql,), run_ids, lambda row: EventRow(*row))


def scored_checkpoints(store: Store, run_ids: Sequence[str]) -> dict[str, list[int]]:
    """Numbers of edits at which each run was scored, in the order of the blocks of its courses."""
    sql = "SELECT run_id, edits FROM checkpoints WHERE {among} AND scored ORDER BY run_id, edits"
    return _grouped(store, (sql,), run_ids, lambda row: int(row[0]))


_ANSWERS = """
FROM (SELECT a.run_id AS run_id, a.case_id, a.position, a.kind AS kind, a.index AS place, a.prompt,
    coalesce(p.target_new, c.target_new), coalesce(p.target_true, c.target_true),
    list(a.edits ORDER BY a.edits), list(a.text ORDER BY a.edits)
FROM (FROM answers WHERE {among}) a
LEFT JOIN (FROM probes WHERE {among}) p USING (run_id, case_id, kind, index)
JOIN (FROM cases WHERE {among}) c ON c.run_id = a.run_id AND c.position = a.position
GROUP BY ALL) ORDER BY run_id, position, case_id, kind = 'neighborhood', kind = 'paraphrase', place
"""


def samples(store: Store, run_ids: Sequence[str]) -> dict[str, list[SampleAnswer]]:
    """Continuations of some prompts by the models, before the edits and at each checkpoint, in edit order."""
    return _grouped(store, (_ANSWERS,), run_ids, _sample)


def _sample(row: Sequence[Any]) -> SampleAnswer:
    case_id, position, kind, _, prompt, new, true, edits, said = row
    answers = dict(zip(edits, said, strict=True))
    before = answers.pop(0, None)
    return SampleAnswer(case_id, position, kind, prompt, new, true, before, answers, position + 1)


def _grouped(
    store: Store, statements: Sequence[str], run_ids: Sequence[str], make: Callable[[Sequence[Any]], T]
) -> dict[str, list[T]]:
    """Rows of some statements whose first column is the run id, by run; every run has an entry."""
    found: dict[str, list[T]] = {run_id: [] for run_id in run_ids}
    for sql in statements:
        sql = sql.replace("{among}", _AMONG)
        for run_id, *row in store.rows(sql, [list(run_ids)] * sql.count("(SELECT unnest(?))")):
            found[run_id].append(make(row))
    return found


def chunks(run_ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Consecutive parts of at most ``size``."""
    for start in range(0, len(run_ids), size):
        yield run_ids[start : start + size]


RESULT_TABLES = (
    "runs",
    "standings",
    "pairs",
    "headlines",
    "checkpoints",
    "metrics",
    "ability_scores",
    "diagnostics",
    "timings",
    "environment",
    "ledger",
)
"""Tables that are offered for downloading as a whole: results, not the single outcomes that they are made of."""


def result_tables(store: Store) -> dict[str, pa.Table]:
    """`RESULT_TABLES` in an order that depends on the content alone; each line with its run's protocol."""
    keys = {"standings": "track_id", "pairs": "track_id"}
    joined = {name: _PROTOCOL.format(key=keys.get(name, "run_id")) for name in RESULT_TABLES}
    joined |= {"runs": "", "ledger": ""}
    return {name: store.arrow(f'FROM "{name}" {joined[name]} ORDER BY ALL') for name in RESULT_TABLES}


_PROTOCOL = "LEFT JOIN (SELECT DISTINCT {key}, protocol FROM runs) USING ({key})"
