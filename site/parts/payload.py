"""Data that the page's scripts load: the rows of a track, its table at one checkpoint, the curves of one row.

A track's table is in two kinds of files, so that moving the slider loads only what it needs: ``rows`` has what does not
depend on the number of edits, and each ``at`` the figures at one checkpoint, in the order of ``rows``. Whatever is
written as text here was made in Python once, for the page with and without scripts alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from palimpsest.results.analysis.published import PublishedNumber
from palimpsest.results.analysis.seeds import combine
from palimpsest.results.records import BoardRow, EditsUntil, Interval, Track
from palimpsest.results.store.bulk import Series
from palimpsest.site.parts import figures
from palimpsest.site.parts.table import TableRow, metric_names
from palimpsest.site.words import columns as columns_of
from palimpsest.site.words import labels
from palimpsest.site.words.text import count, day, file_name, slug

_NOTHING = Interval(None)
_LEAST_OF_PERCENT = 0.0
_FIRST_LINES = 6


def rows_payload(track: Track, rows: Sequence[TableRow], references: Sequence[PublishedNumber]) -> dict[str, Any]:
    """All rows of a track, without the figures that depend on the number of edits."""
    return {
        "track": track.track_id,
        "about": {"words": track_words(track), "file": track_slug(track)},
        "edits": track.edits,
        "checkpoints": [edits for edits in track.checkpoints if edits > 0],
        "metrics": list(metric_names(track)),
        "main": track.main_metric,
        "rows": [row_payload(row) for row in rows],
        "chosen": [file_name(row.id) for row in first_lines(rows)],
        "references": reference_rows(references),
    }


def first_lines(rows: Sequence[TableRow]) -> list[TableRow]:
    """Rows whose lines are shown at first: the best ones, each of another colour.

    A track that is one editor's own shows the best ones of that editor.
    """
    if len({row.first.editor for row in rows}) == 1:
        return list(rows[:_FIRST_LINES])
    found: dict[int, TableRow] = {}
    for row in rows:
        found.setdefault(row.look.colour, row)
    return list(found.values())[:_FIRST_LINES]


def row_payload(row: TableRow) -> dict[str, Any]:
    """One row."""
    first = row.first
    bar = figures.effective_bar(row)
    rank, courses = figures.rank_figure(row.standing), figures.courses_figure(row)
    ended = row.standing is not None
    headline = bar.figure if ended else figures.UNFINISHED
    until = [figures.until_figure(value if ended else EditsUntil()) for value in (row.until_80, row.until_50)]
    seconds, memory = figures.seconds_figure(row.seconds), figures.memory_figure(row.memory)
    return {
        "id": file_name(row.id),
        "label": row.label,
        "title": labels.editor_title(first.editor),
        "parts": [labels.EDITORS.get(part, part) for part in labels.editor_parts(first.editor)],
        "editor": editor_file(first.editor),
        "paper": labels.PAPERS.get(labels.editor_parts(first.editor)[0], "") if row.built_in else "",
        "third": "" if row.built_in else first.distribution,
        "version": first.version,
        "look": row.look.data,
        "rank": [rank.text, rank.span],
        "ended": ended,
        "courses": [courses.text, courses.span, courses.sort],
        "effective": [
            headline.text,
            headline.span,
            headline.sort,
            figures.interval_note(row.standing) if ended else "",
        ],
        "bar": [bar.reached, bar.made, bar.low, bar.high] if ended else [0.0, bar.made, 0.0, 0.0],
        "until": [[one.text, one.span, one.sort] for one in until],
        "ring": row.until_80.edits,
        "seconds": [seconds.text, seconds.sort],
        "memory": [memory.text, memory.sort],
        "status": [[*labels.STATUSES[status], number] for status, number in row.statuses],
        "done": first.edits_done,
        "verified": columns_of.verified(row.runs) or None,
        "verified_by": "; ".join(dict.fromkeys(run.verified_by for run in row.runs if run.verified_by)),
        "submitted": any(run.submitted for run in row.runs),
        "date": day(row.date),
        "runs": [_run(run) for run in row.runs],
        "counted": [run.run_id for run in row.counted] if len(row.counted) < len(row.runs) else None,
    }


def pairs_payload(track: Track, all_rows: Sequence[TableRow]) -> dict[str, Any]:
    """Headlines for the comparison, unrounded: of every row, and of pairs with a rank.

    A pair is [row, row, difference, least difference, told apart].
    """
    rows = sorted({row for pair in track.pairs for row in (pair.above, pair.below)})
    place = {row: index for index, row in enumerate(rows)}
    found = [[place[p.above], place[p.below], p.difference, p.least, p.told_apart] for p in track.pairs]
    held = {file_name(row.id): held_edits(row.effective_edits) for row in all_rows}
    return {"rows": [file_name(row) for row in rows], "pairs": found, "held": held}


def held_edits(one: Interval) -> list[float | None]:
    """Effective edits with the ends of their interval, as they are."""
    return [one.value, one.low, one.high]


def _run(run: BoardRow) -> list[Any]:
    status = labels.STATUSES[run.status]
    return [
        file_name(run.run_id),
        run.seed,
        status.word,
        status.shape,
        figures.effective_figure(run.effective_edits).text,
    ]


def at_payload(rows: Sequence[TableRow], names: Sequence[str], edits: int) -> dict[str, Any]:
    """The figures of all rows at one checkpoint: metric → one [value, low, high] or null per row."""
    cells = {name: [_interval(row.metrics[name].get(edits, _NOTHING)) for row in rows] for name in names}
    seeds = {
        str(i): {name: [_round(v) for v in row.by_seed[name].get(edits, ())] for name in names}
        for i, row in enumerate(rows)
        if row.by_seed
    }
    return {"edits": edits, "cells": cells, "seeds": seeds}


def rounded(one: Interval) -> Interval:
    """As precise as in the data files, so that the page with and without scripts shows the same digits."""
    return Interval(_round(one.value), _round(one.low), _round(one.high), one.n)


def _interval(one: Interval) -> list[float | None] | None:
    if one.value is None:
        return None
    if one.low is None or one.high is None:
        return [_round(one.value)]
    return [_round(one.value), _round(one.low), _round(one.high)]


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def reference_rows(numbers: Sequence[PublishedNumber]) -> list[dict[str, Any]]:
    """Published numbers gathered into rows: one per source, editor, number of edits and batch size."""
    found: dict[tuple[object, ...], dict[str, Any]] = {}
    for one in numbers:
        key = (
            one.arxiv,
            one.table,
            one.editor_as_published,
            one.model_as_published,
            one.edits,
            one.batch_size,
            one.order,
        )
        entry = found.setdefault(
            key,
            {
                "title": one.editor_as_published,
                "editor": editor_file(one.editor),
                "source": one.source,
                "arxiv": one.arxiv,
                "edits": one.edits,
                "batch": one.batch_size,
                "note": one.note,
                "values": {},
            },
        )
        entry["values"][one.metric] = one.value
    return list(found.values())


def curve_payload(curves: Sequence[Series]) -> dict[str, list[list[Any]]]:
    """``metric|window`` → [edits, values, lows, highs, imputed edits]; what is empty at the end is left out.

    At imputed edits, where the run had collapsed, there is no value: a line ends where its run did.
    """
    result: dict[str, list[list[Any]]] = {}
    for one in curves:
        none = [None] * len(one.edits)
        columns = [
            [None if e in one.imputed else _short(v) for e, v in zip(one.edits, values, strict=True)]
            for values in (one.value, one.low or none, one.high or none)
        ]
        parts: list[list[Any]] = [one.edits, columns[0]]
        if any(v is not None for v in one.low) or one.imputed:
            parts += columns[1:]
        if one.imputed:
            parts.append(one.imputed)
        result[curve_key(one)] = parts
    return result


def curve_key(one: Series) -> str:
    """Name of a curve in the data files."""
    return f"{one.metric}|{one.window}"


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.7g}")


def combined_curves(
    runs: Sequence[Sequence[Series]], *, percent: bool, own_cases: bool = False
) -> dict[str, list[list[Any]]]:
    """Curves of a row of several seeds: means with intervals over cases and seeds, and each seed's values as points.

    A seed that had collapsed counts as 0 in the mean of those that go on, and is no point of its own.
    """
    by_key: dict[str, list[Series]] = {}
    for curves in runs:
        for one in curves:
            by_key.setdefault(curve_key(one), []).append(one)
    result: dict[str, list[list[Any]]] = {}
    for key, group in by_key.items():
        bounded = percent and not labels.unbounded(key)
        edits = sorted({e for one in group for e in one.edits})
        at = [by_edits(one) for one in group]
        limits: dict[str, Any] = {"most": 100.0 if bounded else None, "least": _LEAST_OF_PERCENT if bounded else None}
        own = own_cases and labels.of_cases(key)
        means = [combine([p.get(e, _NOTHING) for p in at], own_cases=own, **limits) for e in edits]
        imputed = sorted({e for one in group for e in one.imputed})
        means = [
            _NOTHING if all(e in one.imputed for one in group) else mean for e, mean in zip(edits, means, strict=True)
        ]
        values = [[_short(one.value) for one in means], [_short(one.low) for one in means]]
        points = [[None if e in one.imputed else _short(p.get(e, _NOTHING).value) for e in edits]
                  for one, p in zip(group, at, strict=True)]  # fmt: skip
        result[key] = [edits, *values, [_short(one.high) for one in means], imputed, points]
    return result


def by_edits(one: Series) -> Mapping[int, Interval]:
    """Edits → value and interval of a series."""
    low = one.low or [None] * len(one.edits)
    high = one.high or [None] * len(one.edits)
    return {e: Interval(v, lo, hi) for e, v, lo, hi in zip(one.edits, one.value, low, high, strict=True)}


def editor_file(name: str) -> str:
    """Name of an editor's page: its own where that is harmless, else a hash of it."""
    plain = name.replace("(", "-").replace(")", "")
    return (
        plain if plain.replace("-", "").isascii() and plain.replace("-", "").isalnum() else file_name(f"editor {name}")
    )


def track_words(track: Track) -> str:
    """A track in the words that stand below the title of a saved figure."""
    words = (track.model, track.task, planned_edits(track), track.edit_order, f"protocol {track.protocol}")
    return " · ".join((*words, f"track {track.track_id[:6]}"))


def track_slug(track: Track) -> str:
    """A track as a part of a file's name."""
    return slug(track.model, track.task, f"{track.edits}x{track.batch_size}", file_name(track.track_id)[:6])


def planned_edits(track: Track) -> str:
    """The length of a track in words."""
    return f"{count(track.edits)} edits in batches of {count(track.batch_size)}"
