"""A run's page: spec, command, environment, figures at every checkpoint, sample prompts; curves and cases as data."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from palimpsest.harness.metrics.definitions import metric
from palimpsest.harness.specs.command import command_words
from palimpsest.results.records import BoardRow, Curve, CurvePoint, Interval, Track
from palimpsest.results.store.bulk import Series
from palimpsest.results.store.diagnostics import diagnostic_groups
from palimpsest.site.jobs import File
from palimpsest.site.pages.track import facts
from palimpsest.site.parts import cases, diagnostics, figures, payload, samples
from palimpsest.site.parts.figures import Figure
from palimpsest.site.parts.files import table_files
from palimpsest.site.parts.install import Install, install
from palimpsest.site.parts.table import QUALITY, TableRow, forms_of, table_rows
from palimpsest.site.source import RunParts
from palimpsest.site.words import columns as columns_of
from palimpsest.site.words import labels
from palimpsest.site.words.text import clean, count, day, file_name, older_protocol, script, seconds, slug
from palimpsest.tasks.ability_library import local_tasks

STATIC_SAMPLES = 4
"""Sampled cases that are written into the page itself."""


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One line of a table over the checkpoints."""

    title: str
    note: str
    cells: tuple[Figure, ...]
    help: str = ""
    """Exact definition."""


@dataclass(frozen=True, slots=True)
class RunView:
    """Everything that a run's page shows."""

    row: BoardRow
    track: Track
    parts: RunParts
    title: str
    editor_href: str
    bar: figures.EffectiveBar
    quality: Figure
    until: tuple[tuple[str, Figure], ...]
    relative: tuple[tuple[str, Figure], ...]
    """Edits until each curve falls under 80 % of its own start."""
    collapse: tuple[Figure, str]
    """NAS's collapse point, and its definition."""
    scores: tuple[tuple[str, Figure], ...]
    abilities: Figure
    seconds: Figure
    memory: Figure
    status: labels.Status
    forms: tuple[str, ...]
    install: Install
    command: str
    spec_text: str
    config: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    checkpoints: tuple[int, ...]
    metric_rows: tuple[tuple[str, tuple[MatrixRow, ...]], ...]
    extra_rows: tuple[MatrixRow, ...]
    extra_columns: tuple[int, ...]
    ability_rows: tuple[MatrixRow, ...]
    ability_columns: tuple[int, ...]
    phases: tuple[tuple[str, str, float], ...]
    samples: tuple[samples.SampleCase, ...]
    end: int
    diagnostics: tuple[diagnostics.Section, ...]
    diagnostic_columns: tuple[int, ...]


def run_view(row: BoardRow, track: Track, parts: RunParts, curves: Sequence[Series]) -> RunView:
    """The view of one run."""
    forms = forms_of(track)
    scored = tuple(edits for edits in parts.scored if edits > 0)
    imputed = tuple(edits for edits in track.checkpoints if row.status == "collapsed" and edits > row.edits_done)
    shown = tuple(sorted({*scored, *imputed}))
    (alone,) = table_rows(track, [replace(row, standing=None)], {row.run_id: curves})  # its own figures, not its row's
    measured = [curve(one) for one in parts.diagnostics]
    ability_lines = [one for one in curves if one.metric.startswith("ability:")]
    return RunView(
        row=row,
        track=track,
        parts=parts,
        title=labels.editor_title(row.editor),
        editor_href=f"editor/{payload.editor_file(row.editor)}.html",
        bar=figures.effective_bar(alone),
        quality=_last(alone, QUALITY, row),
        until=tuple(
            (name, figures.until_figure(value)) for name, value in (("80", alone.until_80), ("50", alone.until_50))
        ),
        relative=tuple((kind, figures.until_figure(value)) for kind, value in row.relative.items()),
        collapse=(figures.until_figure(row.collapse_point), metric("collapse_point_nas").definition),
        scores=tuple((form, _last(alone, f"score_{form}", row)) for form in forms),
        abilities=_last(alone, "abilities_kept", row),
        seconds=figures.seconds_figure(row.seconds_per_edit),
        memory=figures.memory_figure(row.peak_memory_mb),
        status=labels.STATUSES[row.status],
        forms=forms,
        install=install(parts.spec, parts.segments),
        command=command(parts.spec),
        spec_text=json.dumps(parts.spec, indent=2, sort_keys=True, ensure_ascii=False),
        config=tuple((key, json.dumps(value, ensure_ascii=False)) for key, value in sorted(_config(parts).items())),
        facts=facts(track),
        checkpoints=shown,
        metric_rows=tuple((form, metric_rows(curves, form, shown)) for form in forms),
        extra_rows=extra_rows(curves, (0, *shown)),
        extra_columns=(0, *shown),
        ability_rows=tuple(_ability_row(one, parts) for one in ability_lines),
        ability_columns=tuple(sorted({edits for one in ability_lines for edits in one.edits})),
        phases=_phases(parts),
        samples=samples.sample_cases(parts.samples, scored)[:STATIC_SAMPLES],
        end=scored[-1] if scored else 0,
        diagnostics=diagnostics.sections(measured),
        diagnostic_columns=diagnostics.checkpoints(measured),
    )


def curve(one: Series) -> Curve:
    """The same as points, as `palimpsest.results.store.diagnostics` wants it."""
    points = zip(one.edits, one.value, strict=True)
    return Curve("", "", one.metric, one.window, tuple(CurvePoint(e, v, None, None) for e, v in points))


def _last(alone: TableRow, metric: str, row: BoardRow) -> Figure:
    return figures.interval_figure(alone.metrics[metric].get(row.metrics_at or 0))


def _config(parts: RunParts) -> Mapping[str, Any]:
    config = parts.spec.get("editor", {}).get("config", {})
    return config if isinstance(config, Mapping) else {}


def run_files(row: BoardRow, view: RunView, curves: Sequence[Series], texts: str) -> Iterator[File]:
    """Data of the charts and of the case explorer, and the figures for downloading.

    Args:
        row: The run.
        view: Its page.
        curves: Its series.
        texts: Folder of the texts that it edits and asks, which it may share with others.
    """
    name = file_name(row.run_id)
    value = {
        "id": name,
        "track": row.track_id,
        "title": view.title,
        "seed": row.seed,
        "version": row.version,
        "model": view.track.model,
        "task": view.track.task,
        "form": view.track.task_form,
        "edits": view.track.edits,
        "status": view.status.word,
        "main": view.track.main_metric,
        "older": older_protocol(view.track.protocol),
        "about": _about(view),
        "origin": [values[0] for values in columns_of.of_track(view.track, 1).values()],
        "own_orders": view.track.own_orders,
        "date": row.finished_at or row.started_at or "",
        "verified": columns_of.verified([row]),
        "ring": row.until_80.edits,
        "held": payload.held_edits(row.effective_edits),
        "effective": [view.bar.figure.text, view.bar.figure.span],
        "seconds": row.seconds_per_edit,
        "memory": row.peak_memory_mb,
        "config": {key: text for key, text in view.config},
        "scored": view.parts.scored,
        "cases": len(view.parts.courses),
        "texts": texts,
        "curves": payload.curve_payload(curves),
    }
    yield File(f"data/run/{name}/run.js", script(f"run/{name}", value))
    yield File(
        f"data/run/{name}/diagnostics.js", script(f"diagnostics/{name}", diagnostic_payload([view.parts.diagnostics]))
    )
    yield from cases.course_files(name, view.parts)
    yield from table_files(f"data/run/{name}/figures", run_columns(row, view.track, [*curves, *view.parts.diagnostics]))


def diagnostic_payload(runs: Sequence[Sequence[Series]]) -> dict[str, Any]:
    """Curves of the diagnostics of one run, or of a row of several, and what they are called."""
    names: dict[str, list[Any]] = {}
    for group in diagnostic_groups([curve(one) for run in runs for one in run]):
        for line in group.lines:
            key = line.name if line.layer is None else f"{line.name}:{line.layer}"
            title = f"{line.title}, {line.part.replace('_', ' ')}" if line.part else line.title
            title += ", as scored" if line.evaluated else ""
            names[f"{key}|"] = [group.title, line.name, title, line.layer, line.unit, line.definition]
    curves = payload.curve_payload(runs[0]) if len(runs) == 1 else payload.combined_curves(runs, percent=False)
    return {"names": names, "curves": curves}


def _about(view: RunView) -> dict[str, str]:
    """Words in saved figures of the run, and the names of their files."""
    track, row = payload.track_words(view.track), view.row
    return {
        "words": f"{view.title}, seed {row.seed} · {track} · run {row.run_id}",
        "date": day(row.finished_at or row.started_at),
        "file": f"{payload.track_slug(view.track)}-{slug(row.editor)}-seed-{row.seed}",
        "track": track,
        "track_file": payload.track_slug(view.track),
    }


def run_columns(row: BoardRow, track: Track, curves: Sequence[Series]) -> dict[str, list[Any]]:
    """`figure_columns` behind those that say which run they are of."""
    found = figure_columns(curves)
    size = len(found["metric"])
    own = {
        "run_id": row.run_id,
        "editor": row.editor,
        "seed": row.seed,
        "date": row.finished_at or row.started_at or "",
    }
    told = columns_of.of_track(track, size) | {name: [value] * size for name, value in own.items()}
    return told | {"verified": [columns_of.verified([row])] * size} | found


def figure_columns(curves: Sequence[Series]) -> dict[str, list[Any]]:
    """Everything that was measured of a run: one line per metric, window and checkpoint."""
    columns: dict[str, list[Any]] = {n: [] for n in ("metric", "window", "edits", "value", "low", "high", "imputed")}
    for one in curves:
        size = len(one.edits)
        columns["metric"] += [one.metric] * size
        columns["window"] += [one.window] * size
        columns["edits"] += one.edits
        columns["value"] += one.value
        columns["low"] += one.low or [None] * size
        columns["high"] += one.high or [None] * size
        columns["imputed"] += [edits in one.imputed for edits in one.edits]
    return columns


def command(spec: Mapping[str, Any]) -> str:
    """The command that repeats a run: every setting written out, quoted for a shell."""
    given = command_words(spec, local_tasks())
    words = [f"{flag} {shlex.quote(clean(value))}" if value else flag for flag, value in given]
    return " \\\n  ".join(_lines(["palimpsest run", *words]))


def _lines(words: Sequence[str], width: int = 92) -> list[str]:
    """Words gathered into lines; a flag is never parted from its value."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) < width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def metric_rows(curves: Sequence[Series], form: str, checkpoints: Sequence[int]) -> tuple[MatrixRow, ...]:
    """The scores of one form over the checkpoints, each window a line."""
    wanted = {f"{component}_{form}" for component in labels.COMPONENTS}
    at = {(one.metric, one.window): _points(one) for one in curves if one.metric in wanted}
    rows = []
    for component in labels.COMPONENTS:
        for window in (name for name in labels.WINDOWS if name != "planned"):
            points = at.get((f"{component}_{form}", window), {})
            cells = tuple(points.get(edits, figures.interval_figure(None)) for edits in checkpoints)
            if any(cell.sort for cell in cells):
                rows.append(MatrixRow(labels.METRICS[component], labels.WINDOWS[window], cells))
    return tuple(rows)


def extra_rows(curves: Sequence[Series], checkpoints: Sequence[int]) -> tuple[MatrixRow, ...]:
    """Sampled texts, and what is as before the edits; the value before them stands in the window ``all``."""
    at = {(one.metric, one.window): _points(one) for one in curves}
    rows = []
    for name in labels.EXTRAS:
        for window in (name for name in labels.WINDOWS if name != "planned"):
            points = at.get((name, window), {})
            if window == "all":
                points = {**at.get((name, "planned"), {}), **points}
            cells = tuple(points.get(edits, figures.interval_figure(None)) for edits in checkpoints)
            if any(cell.sort for cell in cells):
                definition = metric(name).definition
                rows.append(MatrixRow(labels.metric_title(name), labels.WINDOWS[window], cells, definition))
    return tuple(rows)


def _points(one: Series) -> dict[int, Figure]:
    low, high = one.low or [None] * len(one.edits), one.high or [None] * len(one.edits)
    return {
        e: figures.COLLAPSED if e in one.imputed else figures.interval_figure(Interval(v, lo, hi))
        for e, v, lo, hi in zip(one.edits, one.value, low, high, strict=True)
    }


def _ability_row(one: Series, parts: RunParts) -> MatrixRow:
    name = one.metric.removeprefix("ability:")
    course, chance = next(((right, c) for a, c, _, right in parts.ability_courses if a == name), ("", 0.0))
    points = _points(one)
    what = "mean ROUGE" if course.startswith("~") else f"chance {chance:.0f}"
    note = f"{count(len(course.removeprefix('~')))} items, {what}" if course else ""
    return MatrixRow(labels.ability_title(name), note, tuple(points[e] for e in one.edits))


def _phases(parts: RunParts) -> tuple[tuple[str, str, float], ...]:
    total = sum(parts.timings.phases.values())
    ordered = sorted(parts.timings.phases.items(), key=lambda item: (-item[1], item[0]))
    return tuple((name, seconds(value), 100 * value / total if total else 0.0) for name, value in ordered)
