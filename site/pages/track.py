"""A track's page: its chooser, its table at the last checkpoint, and the data files that its scripts load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from palimpsest.results.records import Interval, Track
from palimpsest.site.jobs import File
from palimpsest.site.parts import figures, payload
from palimpsest.site.parts.chooser import Part
from palimpsest.site.parts.columns import Column, columns
from palimpsest.site.parts.figures import Figure
from palimpsest.site.parts.files import table_files
from palimpsest.site.parts.paper_table import as_csv, as_latex, as_markdown, paper_table
from palimpsest.site.parts.table import ABILITIES_KEPT, QUALITY, TableRow, forms_of, metric_names
from palimpsest.site.words import columns as columns_of
from palimpsest.site.words import labels
from palimpsest.site.words.text import count, file_name, older_protocol, script

STATIC_ROWS = 30
"""Rows that are written into the page itself; the others come with its scripts, and are in the downloads."""


PAPER_FORMS = {"LaTeX": ("tex", as_latex), "Markdown": ("md", as_markdown), "CSV": ("csv", as_csv)}
"""Forms of the board as a table for a paper, as `palimpsest table` writes it: its ending, and its writer."""


@dataclass(frozen=True, slots=True)
class StaticRow:
    """One row of the table as it is without scripts."""

    data: dict[str, Any]
    figures: Mapping[str, Figure]
    """Key of a column → its figure in the form that ranks, for all columns of numbers but the headline."""
    quality: Figure


@dataclass(frozen=True, slots=True)
class TrackView:
    """A track's page."""

    track: Track
    title: str
    heading: str
    """Model, task and schedule, as the chooser has them."""
    chooser: tuple[Part, ...]
    facts: tuple[tuple[str, str], ...]
    forms: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[StaticRow, ...]
    total: int
    resolution: str
    """Difference from which on two rows are told apart, in the middle of all pairs; empty without pairs."""
    pairs: int
    told_apart: int
    paper: tuple[tuple[str, str], ...]
    """Form and ending of each file with the board as a table for a paper; empty while no run has ended by itself."""
    rankless: bool
    """True if some row has a course and none has a rank."""
    last: int


def order_tracks(tracks: Sequence[Track]) -> list[Track]:
    """The front page's track first: of the newest protocol, with most runs, then longest; then by name."""
    return sorted(tracks, key=lambda t: (-t.protocol, -t.runs, -t.edits, t.model, t.task, t.track_id))


def track_title(track: Track) -> str:
    """A track in a few words."""
    without = "" if track.abilities_counted else ", without abilities"
    return f"{track.model}, {track.task}, {count(track.edits)} edits{without}{older_protocol(track.protocol)}"


def track_view(track: Track, rows: Sequence[TableRow], parts: tuple[Part, ...]) -> TrackView:
    """Everything that a track's page shows before its scripts run."""
    forms = forms_of(track)
    last = track.checkpoints[-1]
    return TrackView(
        track=track,
        title=track_title(track),
        heading=", ".join(part.chosen.label for part in parts),
        chooser=parts,
        facts=facts(track),
        forms=forms,
        columns=columns(track, verified=any(run.verified for row in rows for run in row.runs)),
        rows=tuple(static_row(row, forms[0], track.extras, last) for row in rows[:STATIC_ROWS]),
        total=len(rows),
        resolution=count(max(1.0, track.resolution)) if track.resolution is not None else "",
        pairs=len(track.pairs),
        told_apart=track.told_apart,
        paper=tuple((form, ending) for form, (ending, _) in PAPER_FORMS.items()) if _some_ended(rows) else (),
        rankless=_rankless(rows),
        last=last,
    )


def _rankless(rows: Sequence[TableRow]) -> bool:
    found = [row.standing for row in rows if row.standing is not None and row.along]
    return bool(found) and all(standing.rank_low is None for standing in found)


def static_row(row: TableRow, form: str, extras: Sequence[str], edits: int) -> StaticRow:
    """One row with its figures at one checkpoint."""
    data = payload.row_payload(row)
    scored = {part: _figure(row, f"{part}_{form}", edits) for part in labels.COMPONENTS}
    more = {name: _figure(row, name, edits) for name in extras}
    fixed = {
        "abilities": _figure(row, ABILITIES_KEPT, edits),
        "until": Figure(data["until"][0][0], data["until"][1][0]),
        "courses": Figure(*data["courses"][:2]),
        "seconds": Figure(data["seconds"][0]),
        "memory": Figure(data["memory"][0]),
    }
    return StaticRow(data, scored | more | fixed, _figure(row, QUALITY, edits))


def _figure(row: TableRow, name: str, edits: int) -> Figure:
    return figures.interval_figure(payload.rounded(row.metrics[name].get(edits, Interval(None))))


def track_files(track: Track, rows: Sequence[TableRow], references: Sequence[Any]) -> Iterator[File]:
    """Data of the table, for the page's scripts and for downloading."""
    name = file_name(track.track_id)
    data = payload.rows_payload(track, rows, references)
    yield File(f"data/track/{name}/rows.js", script(f"rows/{name}", data))
    names = metric_names(track)
    for edits in track.checkpoints:
        if edits > 0:
            at = payload.at_payload(rows, names, edits)
            yield File(f"data/track/{name}/at-{edits}.js", script(f"at/{name}/{edits}", at))
    yield from table_files(f"data/track/{name}/table", table_columns(track, rows))
    yield File(f"data/track/{name}/pairs.js", script(f"pairs/{name}", payload.pairs_payload(track, rows)))
    if track.pairs:
        yield from table_files(f"data/track/{name}/pairs", pair_columns(track, rows))
    for ending, write in PAPER_FORMS.values() if _some_ended(rows) else ():
        yield File(f"data/track/{name}/paper.{ending}", f"{write(paper_table(track, rows))}\n".encode())


def _some_ended(rows: Sequence[TableRow]) -> bool:
    """True if some row is in the table for a paper."""
    return any(row.standing is not None for row in rows)


def table_columns(track: Track, rows: Sequence[TableRow]) -> dict[str, list[Any]]:
    """The table in full: one line per row and checkpoint."""
    lines = [(row, edits) for row in rows for edits in track.checkpoints if edits > 0]
    columns = columns_of.of_track(track, len(lines)) | {
        "date": [row.date or "" for row, _ in lines],
        "verified": [columns_of.verified(row.runs) for row, _ in lines],
        "row": [row.id for row, _ in lines],
        "editor": [row.first.editor for row, _ in lines],
        "distribution": [row.first.distribution for row, _ in lines],
        "version": [row.first.version for row, _ in lines],
        "runs": [" ".join(run.run_id for run in row.runs) for row, _ in lines],
        "seeds": [len(row.counted) for row, _ in lines],
        "status": [", ".join(f"{n} {status}" for status, n in row.statuses) for row, _ in lines],
        "courses": [row.standing.courses if row.standing else 0 for row, _ in lines],
        "cases": [row.cases for row, _ in lines],
        "spreads_widely": [bool(row.standing and row.standing.wide) for row, _ in lines],
        "rank_low": [row.standing.rank_low if row.standing else None for row, _ in lines],
        "rank_high": [row.standing.rank_high if row.standing else None for row, _ in lines],
        "effective_edits": [_float(row.effective_edits.value) for row, _ in lines],
        "effective_edits_low": [_float(row.effective_edits.low) for row, _ in lines],
        "effective_edits_high": [_float(row.effective_edits.high) for row, _ in lines],
        "until_80": [_float(row.until_80.edits) for row, _ in lines],
        "until_80_beyond": [row.until_80.censored_at for row, _ in lines],
        "until_50": [_float(row.until_50.edits) for row, _ in lines],
        "until_50_beyond": [row.until_50.censored_at for row, _ in lines],
        "seconds_per_edit": [_float(row.seconds) for row, _ in lines],
        "peak_memory_mb": [_float(row.memory) for row, _ in lines],
        "edits": [edits for _, edits in lines],
    }
    for name in metric_names(track):
        found = [row.metrics[name].get(edits, Interval(None)) for row, edits in lines]
        columns[name] = [_float(one.value) for one in found]
        columns[f"{name}_low"] = [_float(one.low) for one in found]
        columns[f"{name}_high"] = [_float(one.high) for one in found]
    return columns


def pair_columns(track: Track, rows: Sequence[TableRow]) -> dict[str, list[Any]]:
    """Every pair of rows with a rank: one line each."""
    titles = {row.id: row.label for row in rows}
    by_id = {row.id: row for row in rows}
    both = [(by_id[pair.above], by_id[pair.below]) for pair in track.pairs]
    return columns_of.of_track(track, len(both)) | {
        "date": [max(one.date or "" for one in rows_) for rows_ in both],
        "verified": [columns_of.verified([run for one in rows_ for run in one.runs]) for rows_ in both],
        "above": [pair.above for pair in track.pairs],
        "above_editor": [titles[pair.above] for pair in track.pairs],
        "below": [pair.below for pair in track.pairs],
        "below_editor": [titles[pair.below] for pair in track.pairs],
        "seeds": [pair.seeds for pair in track.pairs],
        "difference": [_float(pair.difference) for pair in track.pairs],
        "least_difference": [_float(pair.least) for pair in track.pairs],
        "told_apart": [pair.told_apart for pair in track.pairs],
    }


def _float(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)


def facts(track: Track) -> tuple[tuple[str, str], ...]:
    """Everything that fixes the track, as terms and descriptions."""
    points = ", ".join(count(edits) for edits in track.checkpoints)
    scored = "every edit so far" if track.sample is None else f"a seeded sample of {count(track.sample)} per window"
    scored += f"; texts of {count(track.texts)} edits" if track.texts else ""
    scored += ", with their special tokens, too" if track.special_tokens else ""
    scored += "; neighborhood also against the unedited model's words" if track.top else ""
    scored += ", in DeltaEdit's and EasyEdit's forms, too" if track.published_top else ""
    scored += "; answers tokenised as in the published evaluation" if track.reference_tokenisation else ""
    return (
        ("Model", f"{track.model} · {track.model_fingerprint[:12]}"),
        ("Task", " · ".join(filter(None, (track.task, f"{track.task_form} form", track.task_hash[:12])))),
        ("Schedule", f"{payload.planned_edits(track)}, {track.edit_order}"),
        ("Checkpoints", points),
        ("Scored", scored),
        ("Abilities", abilities_words(track)),
        ("Protocol", str(track.protocol)),
    )


def abilities_words(track: Track) -> str:
    """The abilities that count in the headline, and those that are asked without counting."""
    titles = [labels.ability_title(name).lower() for name in track.abilities_counted]
    rest = [labels.ability_title(name).lower() for name in track.abilities if name not in track.abilities_counted]
    words = ", ".join(titles) or "none that counts: a track without abilities"
    return f"{words}; asked, but not surely above chance on the unedited model: {', '.join(rest)}" if rest else words
