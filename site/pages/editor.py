"""An editor's page: what it does, all its runs over models and tasks, its configurations, and what versions changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from palimpsest.harness.runs.reading import ENDED
from palimpsest.harness.system.environment import DISTRIBUTION
from palimpsest.results.store.editor_runs import EditorRun
from palimpsest.site.jobs import File
from palimpsest.site.parts import figures, payload
from palimpsest.site.parts.descriptions import Description
from palimpsest.site.parts.figures import Figure
from palimpsest.site.parts.files import table_files
from palimpsest.site.words import labels
from palimpsest.site.words.text import MISSING, count, day, file_name, fixed, older_protocol, seconds

MOST_ROWS = 120
"""Rows in the page; all are in the table for downloading."""
_MOST_CONFIGS = 12


@dataclass(frozen=True, slots=True)
class EditorRow:
    """All seeds of the editor with one configuration on one track."""

    model: str
    task: str
    schedule: str
    track_href: str
    runs: tuple[tuple[str, int, str], ...]
    """(page, seed, status word) of each run."""
    version: str
    effective_edits: Figure
    score: Figure
    abilities: Figure
    seconds: str
    date: str


@dataclass(frozen=True, slots=True)
class UnfinishedRow:
    """Runs with one configuration on one track, none of which ended by itself: no figures beside those of others."""

    model: str
    task: str
    schedule: str
    track_href: str
    runs: tuple[tuple[str, int, str, int], ...]
    """(page, seed, status word, edits made) of each run."""
    version: str
    date: str


@dataclass(frozen=True, slots=True)
class Change:
    """A configuration or version that followed another one on the same track."""

    track: str
    before: str
    after: str
    fields: tuple[tuple[str, str, str], ...]
    """(setting, before, after); missing settings are a dash."""
    effective_edits: tuple[str, str]


@dataclass(frozen=True, slots=True)
class EditorView:
    """Everything that an editor's page shows."""

    name: str
    title: str
    distribution: str
    built_in: bool
    versions: tuple[str, ...]
    parts: tuple[Description, ...]
    rows: tuple[EditorRow, ...]
    total_rows: int
    unfinished: tuple[UnfinishedRow, ...]
    total_runs: int
    configs: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...]
    """(model, version, settings)."""
    changes: tuple[Change, ...]
    file: str


def editor_view(name: str, runs: Sequence[EditorRun], parts: Sequence[Description]) -> EditorView:
    """The page of one editor or composition, with the description of each of its parts, outermost first."""
    groups: dict[str, list[EditorRun]] = {}
    for run in runs:
        groups.setdefault(run.row_id, []).append(run)
    ended = [group for group in groups.values() if _ended(group)]
    rest = [group for group in groups.values() if not _ended(group)]
    distribution = runs[-1].distribution
    return EditorView(
        name=name,
        title=labels.editor_title(name),
        distribution=distribution,
        built_in=distribution == DISTRIBUTION,
        versions=tuple(sorted({run.version for run in runs})),
        parts=tuple(parts),
        rows=tuple(_row(group) for group in ended[:MOST_ROWS]),
        total_rows=len(ended),
        unfinished=tuple(_unfinished(group) for group in rest[:MOST_ROWS]),
        total_runs=len(runs),
        configs=_configs(list(groups.values())),
        changes=_changes(list(groups.values())),
        file=payload.editor_file(name),
    )


def _ended(group: Sequence[EditorRun]) -> list[EditorRun]:
    return [run for run in group if run.status in ENDED]


def _row(group: Sequence[EditorRun]) -> EditorRow:
    first = group[0]
    counted = _ended(group)
    return EditorRow(
        model=first.model,
        task=first.task,
        schedule=_schedule(first),
        track_href=f"track/{file_name(first.track_id)}.html",
        runs=tuple(
            (f"run/{file_name(r.run_id)}.html", r.seed, labels.STATUSES[r.status].word)
            for r in sorted(group, key=lambda r: (r.seed, r.run_id))
        ),
        version=first.version,
        effective_edits=_effective(group),
        score=_mean(counted, [run.score for run in counted]),
        abilities=_mean(counted, [run.abilities_kept for run in counted]),
        seconds=seconds(_average([run.seconds_per_edit for run in counted])),
        date=day(max(run.date for run in group) or None),
    )


def _unfinished(group: Sequence[EditorRun]) -> UnfinishedRow:
    first = group[0]
    return UnfinishedRow(
        model=first.model,
        task=first.task,
        schedule=_schedule(first),
        track_href=f"track/{file_name(first.track_id)}.html",
        runs=tuple(
            (f"run/{file_name(r.run_id)}.html", r.seed, labels.STATUSES[r.status].word, r.edits_done)
            for r in sorted(group, key=lambda r: (r.seed, r.run_id))
        ),
        version=first.version,
        date=day(max(run.date for run in group) or None),
    )


def _schedule(run: EditorRun) -> str:
    return f"{count(run.edits)} edits, batches of {count(run.batch_size)}{older_protocol(run.protocol)}"


def _effective(group: Sequence[EditorRun]) -> Figure:
    counted = _ended(group)
    if not counted:
        return Figure("not finished")
    standing = counted[0].standing
    if standing is not None:
        return figures.effective_figure(standing.effective_edits)
    return figures.effective_figure(counted[0].effective_edits)


def _average(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _mean(counted: Sequence[EditorRun], values: Sequence[float | None]) -> Figure:
    """A mean at the last checkpoint, where a run that had collapsed counts as 0; no value if all had."""
    if all(run.status == "collapsed" for run in counted):
        return figures.COLLAPSED
    return Figure(fixed(_average(values)))


def _configs(groups: Sequence[Sequence[EditorRun]]) -> tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...]:
    """The newest configuration on each model."""
    newest: dict[str, EditorRun] = {}
    for run in (run for group in groups for run in group):
        if run.model not in newest or run.date > newest[run.model].date:
            newest[run.model] = run
    return tuple(
        (model, run.version, tuple(flat(run.config).items())) for model, run in sorted(newest.items())[:_MOST_CONFIGS]
    )


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Settings as texts, those of a filter's host as ``host.name``."""
    found: dict[str, str] = {}
    for key, value in sorted(config.items()):
        if key == "host" and isinstance(value, Mapping):
            found |= flat(value, f"{prefix}host.")
        else:
            found[prefix + key] = json.dumps(value, ensure_ascii=False)
    return found


def _changes(groups: Sequence[Sequence[EditorRun]]) -> tuple[Change, ...]:
    """Changes of each configuration against the one before it on the same track, newest first."""
    by_track: dict[str, list[Sequence[EditorRun]]] = {}
    for group in groups:
        by_track.setdefault(group[0].track_id, []).append(group)
    dated: list[tuple[str, Change]] = []
    for found in by_track.values():
        ordered = sorted(found, key=lambda group: (min(run.date for run in group), group[0].row_id))
        for one, other in zip(ordered, ordered[1:], strict=False):
            dated.append((min(run.date for run in other), _change(one, other)))
    ordered_changes = sorted(dated, key=lambda item: item[0], reverse=True)
    return tuple(change for _, change in ordered_changes[:MOST_ROWS])


def _change(one: Sequence[EditorRun], other: Sequence[EditorRun]) -> Change:
    before, after = flat(one[0].config), flat(other[0].config)
    keys = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    return Change(
        track=(f"{other[0].model}, {other[0].task}, {count(other[0].edits)} edits{older_protocol(other[0].protocol)}"),
        before=one[0].version,
        after=other[0].version,
        fields=tuple((key, before.get(key, MISSING), after.get(key, MISSING)) for key in keys),
        effective_edits=(_effective(one).text, _effective(other).text),
    )


def editor_columns(runs: Sequence[EditorRun]) -> dict[str, list[Any]]:
    """All runs of an editor in full, one line each."""
    found = {
        field: [getattr(run, field) for run in runs]
        for field in ("track_id", "model", "task", "batch_size", "edit_order", "protocol", "date", "run_id", "seed",
                      "distribution", "version", "status", "edits_done", "score", "abilities_kept", "seconds_per_edit")
    }  # fmt: skip
    return found | {
        "edits_planned": [run.edits for run in runs],
        "verified": [run.verified or "" for run in runs],
        "row": [run.row_id for run in runs],
        "effective_edits": [run.effective_edits.value for run in runs],
        "effective_edits_low": [run.effective_edits.low for run in runs],
        "effective_edits_high": [run.effective_edits.high for run in runs],
        "config": [json.dumps(run.config, sort_keys=True, ensure_ascii=False) for run in runs],
    }


def editor_files(name: str, runs: Sequence[EditorRun]) -> Iterator[File]:
    """All runs of an editor, for downloading."""
    yield from table_files(f"data/editor/{payload.editor_file(name)}", editor_columns(runs))
