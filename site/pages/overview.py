"""The first page of a site with several tracks: editors × tracks, the headline and the rank in each cell.

Nothing is summed over tracks: a cell is about one track, and sorting goes by one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from palimpsest.results.records import Standing, Track
from palimpsest.results.store.bulk import RunHead
from palimpsest.site.jobs import Batch, File, Job, fingerprint
from palimpsest.site.parts import figures, payload
from palimpsest.site.parts.chooser import model_key, schedule_label, task_key
from palimpsest.site.parts.files import table_files
from palimpsest.site.words import columns as columns_of
from palimpsest.site.words import labels
from palimpsest.site.words.text import MISSING, script

STATIC_CELLS = 1200
"""Cells in the page itself; the rows of further editors are loaded when they are asked for."""
_LEAST_ROWS = 10
DATA = "data/overview"
Standings = Mapping[tuple[str, str], Standing]
"""(track id, row id) → place; nothing for a row of which no run ended by itself."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One editor on one track: the best of its rows there."""

    text: str
    """Effective edits."""
    rank: str
    """Its interval of ranks in words, or that it has none."""
    words: str
    """Reason for having no rank, or number of rows that it is the best of; may be empty."""
    sort: float | None
    first: bool
    """True if no editor is surely better."""

    @property
    def packed(self) -> list[Any]:
        """As the page's script reads it."""
        return [self.text, self.rank, self.words, self.sort, self.first]


@dataclass(frozen=True, slots=True)
class Head:
    """One track, as the head of a column."""

    task: str
    schedule: str
    title: str
    """The whole track in words."""
    href: str
    editors: int


@dataclass(frozen=True, slots=True)
class Line:
    """One editor."""

    title: str
    file: str
    cells: tuple[Cell | None, ...]

    @property
    def tracks(self) -> int:
        """Number of tracks that it is on."""
        return sum(cell is not None for cell in self.cells)


@dataclass(frozen=True, slots=True)
class OverviewView:
    """Everything that the page shows."""

    models: tuple[tuple[str, int], ...]
    """(model, number of its columns) over the heads."""
    heads: tuple[Head, ...]
    lines: tuple[Line, ...]
    """Editors in the page itself, in the order of the first column."""
    total: int
    runs: int


def editor_counts(heads: Sequence[RunHead]) -> dict[str, int]:
    """Track id → number of editors on it."""
    found: dict[str, set[tuple[str, str]]] = {}
    for head in heads:
        found.setdefault(head.track_id, set()).add((head.editor, head.distribution))
    return {track_id: len(editors) for track_id, editors in found.items()}


def in_columns(tracks: Sequence[Track]) -> list[Track]:
    """Tracks in the order of the columns: those of a model side by side, then of a task, those with most runs first.

    Args:
        tracks: The front track first; models, and their tasks, follow in the order in which they come up.
    """
    models = list(dict.fromkeys((-t.protocol, *model_key(t)) for t in tracks))
    tasks = list(dict.fromkeys(task_key(t) for t in tracks))
    place = {t.track_id: (models.index((-t.protocol, *model_key(t))), tasks.index(task_key(t))) for t in tracks}
    return sorted(tracks, key=lambda t: place[t.track_id])


def overview_lines(tracks: Sequence[Track], heads: Sequence[RunHead], standings: Standings) -> list[Line]:
    """All editors, best on the first track first; those that are not on it by name."""
    rows: dict[tuple[str, str], dict[str, set[str]]] = {}
    for head in heads:
        rows.setdefault((head.editor, head.distribution), {}).setdefault(head.track_id, set()).add(head.row_id)
    lines = [
        Line(
            labels.editor_title(editor),
            payload.editor_file(editor),
            tuple(_cell(t, sorted(where.get(t.track_id, ())), standings) for t in tracks),
        )
        for (editor, _), where in rows.items()
    ]
    return sorted(lines, key=lambda line: (*_order(line.cells[0]), line.title, line.file))


def _order(cell: Cell | None) -> tuple[bool, float]:
    return (cell is None or cell.sort is None, -(cell.sort or 0.0) if cell else 0.0)


def _cell(track: Track, row_ids: Sequence[str], standings: Standings) -> Cell | None:
    if not row_ids:
        return None
    found = [standings[track.track_id, row] for row in row_ids if (track.track_id, row) in standings]
    if not found:
        return Cell(MISSING, "not finished", "", None, False)
    best = min(found, key=_place)
    rank = figures.rank_figure(best)
    place = "no rank" if best.rank_low is None else f"rank {rank.text}"
    several = f"the best of {len(row_ids)} rows of this editor" if len(row_ids) > 1 else ""
    words = "; ".join(filter(None, (rank.span, several)))
    value = best.effective_edits.value
    sort = None if value is None else round(value, 3)
    return Cell(figures.effective_figure(best.effective_edits).text, place, words, sort, best.rank_low == 1)


def _place(standing: Standing) -> tuple[float, float, float]:
    unranked = float("inf")
    value = standing.effective_edits.value
    return (standing.rank_low or unranked, standing.rank_high or unranked, -(value or 0.0))


def overview_batch(
    page: Callable[..., File],
    code: str,
    tracks: Sequence[Track],
    heads: Sequence[RunHead],
    ask: Callable[[], Standings],
    href: Callable[[Track], str],
) -> Batch:
    """The page and its data.

    Args:
        page: Makes a page: (path, template, key of the navigation, **context).
        code: Fingerprint of what all pages depend on.
        tracks: All tracks, the front one first.
        heads: All runs.
        ask: Gives the places of all rows.
        href: Address of a track's page.
    """
    columns = in_columns(tracks)
    facts = [(h.track_id, h.row_id, h.editor, h.version, h.place, h.came, h.verified or "") for h in heads]
    print_of = fingerprint(code, [(t.track_id, _title(t)) for t in columns], sorted(facts))

    def make(keys: Sequence[str]) -> Iterator[tuple[str, File]]:
        standings = ask()
        lines = overview_lines(columns, heads, standings)
        shown = max(_LEAST_ROWS, STATIC_CELLS // len(columns))
        counts = editor_counts(heads)
        view = OverviewView(
            models=tuple((model, len(list(group))) for (model, *_), group in groupby(columns, _model_of)),
            heads=tuple(Head(t.task, schedule_label(t), _title(t), href(t), counts[t.track_id]) for t in columns),
            lines=tuple(lines[:shown]),
            total=len(lines),
            runs=len(heads),
        )
        yield keys[0], page("index.html", "overview.html", "board", view=view, data=DATA)
        rest = [[line.title, line.file, [c.packed if c else None for c in line.cells]] for line in lines[shown:]]
        yield keys[0], File(f"{DATA}.js", script("overview", rest))
        for file in table_files(DATA, overview_columns(columns, heads, standings)):
            yield keys[0], file

    return Batch([Job("overview", print_of)], make)


def _model_of(track: Track) -> tuple[str, ...]:
    return (track.model, track.model_fingerprint, str(track.protocol))


def _title(track: Track) -> str:
    return f"{track.model}, {track.task}, {schedule_label(track)}"


def overview_columns(tracks: Sequence[Track], heads: Sequence[RunHead], standings: Standings) -> dict[str, list[Any]]:
    """One line per row of every track, in full."""
    by_id = {track.track_id: track for track in tracks}
    runs: dict[tuple[str, str], list[RunHead]] = {}
    for head in heads:
        runs.setdefault((head.track_id, head.row_id), []).append(head)
    lines = [(by_id[key[0]], found[0], standings.get(key)) for key, found in sorted(runs.items())]
    return {
        "track_id": [track.track_id for track, *_ in lines],
        "model": [track.model for track, *_ in lines],
        "task": [track.task for track, *_ in lines],
        "edits_planned": [track.edits for track, *_ in lines],
        "batch_size": [track.batch_size for track, *_ in lines],
        "edit_order": [track.edit_order for track, *_ in lines],
        "protocol": [track.protocol for track, *_ in lines],
        "date": [max(head.came for head in found) for _, found in sorted(runs.items())],
        "verified": [columns_of.verified(found) for _, found in sorted(runs.items())],
        "row": [head.row_id for _, head, _ in lines],
        "editor": [head.editor for _, head, _ in lines],
        "distribution": [head.distribution for _, head, _ in lines],
        "version": [head.version for _, head, _ in lines],
        "courses": [one.courses if one else 0 for *_, one in lines],
        "rank_low": [one.rank_low if one else None for *_, one in lines],
        "rank_high": [one.rank_high if one else None for *_, one in lines],
        "effective_edits": [one.effective_edits.value if one else None for *_, one in lines],
        "effective_edits_low": [one.effective_edits.low if one else None for *_, one in lines],
        "effective_edits_high": [one.effective_edits.high if one else None for *_, one in lines],
    }
