"""Consistency checks that an unaltered run always passes: relations between a run's own numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from palimpsest.harness.metrics.diagnostic_definitions import LEVELS
from palimpsest.harness.runs.layout import CONTINUATIONS
from palimpsest.harness.specs.schedule import batches
from palimpsest.results.reading.cleaning import clean_text
from palimpsest.results.reading.foreign_json import number, utc_time, whole
from palimpsest.results.reading.run_folder import CheckedRun

_SLACK = 1e-4
"""Nats by which rounding may reorder two targets that the model finds about alike."""
_OWN_WORDS = 0.95
"""Least share of prompts to which the unedited model says the same twice; the rest are ties within rounding."""
_SEGMENT_TEXTS = ("started_at", "palimpsest_version", "python", "platform")
_SEGMENT_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("cpu", "gpu", "commit", "command"), (str,)),
    **dict.fromkeys(("cores", "threads"), (int,)),
    "dirty": (bool,),
    "memory_gb": (int, float),
    "packages": (dict,),
}
"""Further entries of a segment, each of these kinds or not there."""
_OTHER_ENTRIES = {"diagnostics": (str,)}
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LONGEST_ENTRY = 4_000
_MOST_PACKAGES = 500
_EVENTS: dict[str, frozenset[str]] = {
    event: frozenset(fields.split())
    for event, fields in {
        "run_started": "segment",
        "prepared": "seconds revision dtype device offload engine data statistics",
        "run_resumed": "edits",
        "batch": "index edits seconds_edit report peak_memory_mb",
        "save": "edits sha256",
        "checkpoint": "edits seconds_scoring seconds_generation seconds_abilities seconds_diagnostics",
        "warning": "message",
        "interrupted": "edits how",
        "run_finished": "edits",
        "saves_removed": "edits",
        "run_collapsed": "edits reason",
        "run_failed": "edits reason traceback",
    }.items()
}
"""Event of the journal → its fields beside ``time`` and ``event``."""
_REPORT = {"seconds", "counters", "values"}
_FEWEST_SECONDS = 1e-4
"""Shortest time that the journal can tell from none; an editor takes more."""
_MOST_SECONDS = 1e7

Found = Iterator[tuple[str, str]]
"""(file, what is wrong with it)."""


def implausible(run: CheckedRun) -> Found:
    """Relations that do not hold, each with the file it was found in."""
    yield from _environment(run)
    yield from _journal(run)
    yield from (("events.jsonl", f"line {line} {text}") for line, event in run.events for text in _event(event))
    for edits, tables in run.checkpoints.items():
        place = f"scores/{edits:06d}"
        yield from ((f"{place}/probes.parquet", text) for text in _outcomes(tables["probes.parquet"]))
        yield from ((f"{place}/diagnostics.parquet", text) for text in _diagnostics(tables, edits))
    yield from _same_questions(run)
    yield from _same_continuations(run)
    yield from _same_items(run)


def _environment(run: CheckedRun) -> Found:
    if not run.segments:
        yield "environment.json", "names no environment"
    for place, segment in enumerate(run.segments):
        missing = [name for name in _SEGMENT_TEXTS if not isinstance(segment.get(name), str) or not segment[name]]
        if missing:
            yield "environment.json", f"segment {place} lacks {', '.join(missing)}"
        for name, kinds in _SEGMENT_KINDS.items():
            value = segment.get(name)
            if value is not None and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
                yield "environment.json", f"segment {place} has a {name} of a kind that it cannot be"
            elif name in ("cores", "threads", "memory_gb") and isinstance(value, int | float) and not 0 < value < 1e6:
                yield "environment.json", f"segment {place} has {clean_text(value, 50)} as {name}"
        yield from (("environment.json", f"segment {place} {text}") for text in _surplus(segment))
        if not _has_passed(segment.get("started_at")):
            yield "environment.json", f"segment {place} started at no time that has passed"
        if not isinstance(commit := segment.get("commit") or "0" * 40, str) or not _COMMIT.fullmatch(commit):
            yield "environment.json", f"segment {place} has a commit that is none"
        if segment.get("diagnostics", "cheap") not in LEVELS:
            yield "environment.json", f"segment {place} has diagnostics of no level"


def _has_passed(time: object) -> bool:
    """True for a time before now; clocks of machines may differ by a day."""
    found = utc_time(time)
    return found is not None and datetime.fromisoformat(found) <= datetime.now(UTC) + timedelta(days=1)


def _surplus(segment: dict[str, Any]) -> Iterator[str]:
    """Entries that no run writes, and entries longer than any."""
    known = {*_SEGMENT_TEXTS, *_SEGMENT_KINDS, *_OTHER_ENTRIES}
    unknown = sorted(set(segment) - known)
    if unknown:
        yield f"has the unknown entry {clean_text(unknown[0], 50)!r}"
    texts = [value for value in segment.values() if isinstance(value, str)]
    packages = segment.get("packages")
    if isinstance(packages, dict):
        if len(packages) > _MOST_PACKAGES or not all(isinstance(version, str) for version in packages.values()):
            yield "has packages that are no names with versions"
        else:
            texts += [*packages, *packages.values()]
    if any(len(text) > _LONGEST_ENTRY for text in texts):
        yield f"has a text of more than {_LONGEST_ENTRY} characters"


def _journal(run: CheckedRun) -> Found:
    """Check that every batch up to the end is journalled with a time that passed and memory that was used."""
    end = run.ending.edits if run.ending is not None else 0
    told: dict[int, dict[str, Any]] = {}
    for _, event in run.events:
        index = whole(event.get("index"))
        if event["event"] == "batch" and index is not None:
            told[index] = event
    total = 0.0
    for batch in batches(run.spec.schedule):
        if batch.stop > end:
            break
        if batch.number not in told:
            yield "events.jsonl", f"does not tell of batch {batch.number}, which was made"
            continue
        event = told[batch.number]
        if event.get("edits") != batch.stop:
            yield "events.jsonl", f"batch {batch.number} ends at {batch.stop} edits by the schedule, not as told"
        seconds, memory = number(event.get("seconds_edit")), number(event.get("peak_memory_mb"))
        if seconds is None or not 0 <= seconds <= _MOST_SECONDS or not _rounded(seconds):
            yield "events.jsonl", f"batch {batch.number} has no time that can have passed (seconds_edit)"
        total += seconds or 0.0
        if memory is None or not 0 < memory < 1e9:
            yield "events.jsonl", f"batch {batch.number} has no memory that can have been used (peak_memory_mb)"
    if end and total < _FEWEST_SECONDS:
        yield "events.jsonl", "has edits that took no time"
    scored = {event.get("edits") for _, event in run.events if event["event"] == "checkpoint"}
    for edits in sorted(set(run.checkpoints) - scored):
        yield "events.jsonl", f"does not tell of the checkpoint at {edits} edits"


def _event(event: dict[str, Any]) -> Iterator[str]:
    """Names and fields that no run writes, and reports that hold more than named numbers."""
    fields = _EVENTS.get(event["event"])
    unknown = sorted(set(event) - {"time", "event", *fields}) if fields is not None else [event["event"]]
    if unknown:
        yield f"has {clean_text(unknown[0], 50)!r}, which no run writes"
    if not _has_passed(event.get("time")):
        yield "has no time that has passed"
    texts = [value for value in event.values() if isinstance(value, str)]
    report = event.get("report", {})
    parts = list(report.values()) if isinstance(report, dict) and not set(report) - _REPORT else [None]
    for part in parts:
        if not isinstance(part, dict) or not all(map(_is_number, part.values())):
            yield "has a report of more than seconds, counters and values, all of them numbers"
            return
        texts += part
    if any(len(text) > _LONGEST_ENTRY for text in texts):
        yield f"has a text of more than {_LONGEST_ENTRY} characters"


def _is_number(value: object) -> bool:
    """True for what the journal writes of a number, finite or not."""
    return value in ("nan", "inf", "-inf") or (isinstance(value, int | float) and not isinstance(value, bool))


def _rounded(seconds: float) -> bool:
    """True for seconds with the four decimals that the journal writes."""
    return abs(seconds - round(seconds, 4)) < 1e-9


def _outcomes(probes: pa.Table) -> Iterator[str]:
    columns = {name: probes[name].to_numpy() for name in probes.column_names if name != "kind"}
    single = (columns["tokens_new"] == 1) & (columns["tokens_true"] == 1)
    for side, other in (("new", "true"), ("true", "new")):
        nll, tokens = columns[f"nll_{side}"], columns[f"tokens_{side}"]
        with np.errstate(invalid="ignore"):
            if (nll < 0).any():
                yield f"has a negative nll_{side}: a likelihood above 1"
            first = single & columns[f"exact_{side}"]
            if (first & (nll > columns[f"nll_{other}"] + _SLACK)).any():
                yield f"calls a token the first choice that is less likely than another (exact_{side}, nll_{side})"
        if ((tokens > 0) & (columns[f"hits_{side}"] == tokens) & ~columns[f"exact_{side}"]).any():
            yield f"calls a target missed of which every token was hit (exact_{side})"
        if ((tokens == 0) & ~np.isnan(nll)).any():
            yield f"has a likelihood of a target without tokens (nll_{side})"


def _diagnostics(tables: dict[str, pa.Table], edits: int) -> Iterator[str]:
    names, values = (tables["diagnostics.parquet"][name].to_pylist() for name in ("name", "value"))
    for name, value in zip(names, values, strict=True):
        kind = name.partition(":")[0]
        if kind in ("weight_norm", "update_norm") and (value is None or not math.isfinite(value) or value < 0):
            yield f"has a {kind} of {value}"
        if kind == "update_norm" and edits == 0 and value != 0:
            yield f"has an update_norm of {value} before the first edit"


def _same_questions(run: CheckedRun) -> Found:
    """A probe has the same tokens at every checkpoint, and stands in the list of all probes."""
    keys = ["case_id", "kind", "index"]
    parts = [
        tables["probes.parquet"].select([*keys, "tokens_new", "tokens_true"]) for tables in run.checkpoints.values()
    ]
    if not parts:
        return
    together = pa.concat_tables(parts)
    grouped = together.group_by(keys).aggregate(
        [(f"tokens_{side}", f"{how}") for side in ("new", "true") for how in ("min", "max")]
    )
    for side in ("new", "true"):
        if not pc.all(pc.equal(grouped[f"tokens_{side}_min"], grouped[f"tokens_{side}_max"])).as_py():
            yield "scores", f"the same target has another number of tokens at another checkpoint (tokens_{side})"
    known = grouped.join(run.probes.select(keys), keys, join_type="left anti")
    if len(known):
        yield "scores", f"{len(known)} probes were scored that are not in probes.parquet"


def _same_continuations(run: CheckedRun) -> Found:
    """Every neighborhood prompt is compared with what the unedited model said, which before the edits still says it."""
    said = next((tables[CONTINUATIONS] for tables in run.checkpoints.values() if CONTINUATIONS in tables), None)
    if said is None:
        return
    keys = ["case_id", "index"]
    known = said.select(keys).append_column("wanted", pc.list_value_length(said["tokens"]))
    if pc.any(pc.less(pc.list_flatten(said["tokens"]), 0)).as_py():
        yield "scores/000000/continuations.parquet", "has token numbers below 0"
    for edits, tables in run.checkpoints.items():
        place, probes = f"scores/{edits:06d}/probes.parquet", tables["probes.parquet"]
        near = probes.filter(pc.equal(probes["kind"], "neighborhood")).join(known, keys, join_type="left outer")
        tokens, wanted = (pc.fill_null(near[name], 0) for name in ("tokens_top", "wanted"))
        if not pc.all(pc.equal(tokens, wanted)).as_py() and len(near):
            yield place, "compares with continuations of other lengths than the unedited model's (tokens_top)"
        elsewhere = probes.filter(pc.not_equal(probes["kind"], "neighborhood"))
        if pc.sum(elsewhere["tokens_top"]).as_py():
            yield place, "compares other prompts than those of the neighborhood with continuations (tokens_top)"
        agree = near.filter(pc.greater(wanted, 0))["exact_top"]
        if not edits and len(agree) and pc.mean(pc.fill_null(agree, False)).as_py() < _OWN_WORDS:
            yield place, "has the unedited model say something else than it said (exact_top)"
        if run.spec.scoring.published_top:
            yield from ((place, text) for text in _fed(near, elsewhere, unedited=not edits))


def _fed(near: pa.Table, elsewhere: pa.Table, *, unedited: bool) -> Iterator[str]:
    """The unedited model's words behind the true target's: one place for each of its tokens, and no other probe's."""
    places, first = (pc.fill_null(near[name], 0) for name in ("tokens_fed", "hits_first"))
    if not pc.all(pc.equal(places, near["tokens_true"])).as_py() and len(near):
        yield "compares at other places than those of the true target (tokens_fed)"
    if pc.sum(elsewhere["tokens_fed"]).as_py():
        yield "compares other prompts than those of the neighborhood in published forms (tokens_fed)"
    if unedited and pc.sum(first).as_py() is not None and pc.sum(first).as_py() < _OWN_WORDS * pc.sum(places).as_py():
        yield "has the unedited model choose otherwise than it chose (hits_first)"


def _same_items(run: CheckedRun) -> Found:
    """An ability task has the same items and the same chance level at every checkpoint."""
    seen: dict[tuple[str, str], tuple[int, tuple[object, ...]]] = {}
    for edits, tables in run.checkpoints.items():
        table = tables["abilities.parquet"]
        for name in ("item", "chance", "metric", "label"):
            grouped = table.group_by("ability").aggregate([(name, "list")])
            for ability, values in zip(
                grouped["ability"].to_pylist(), grouped[f"{name}_list"].to_pylist(), strict=True
            ):
                first = seen.setdefault((ability, name), (edits, tuple(values)))
                if first[1] != tuple(values):
                    place = f"scores/{edits:06d}/abilities.parquet"
                    yield place, f"{ability} has another {name} than at {first[0]} edits"
