"""Moves from night to night: the last night against the one before, and every number over all nights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from palimpsest.harness.metrics.probes import METRICS
from palimpsest.results.analysis.seeds import combine
from palimpsest.results.nights import Move, Night, Number, moves, night_files, read_nights
from palimpsest.results.records import Interval, Track
from palimpsest.site.jobs import File
from palimpsest.site.parts.files import arrow_files
from palimpsest.site.words import columns as columns_of
from palimpsest.site.words import labels
from palimpsest.site.words.looks import Look, editor_looks
from palimpsest.site.words.text import MISSING, file_name, script, significant

MOST_MOVES = 200
"""Moves in the page; all numbers are among the downloads."""
MOST_NIGHTS = 30
"""Nights in the page's list."""
_TEXT_ROWS = 20_000
_FIRST = ("effective_edits", "score_argmax", "score_token_accuracy", "abilities_kept")
_TITLES = {
    "effective_edits": "Effective edits",
    "until_80": "Edits until h is under 0.8",
    "until_50": "Edits until h is under 0.5",
    "peak_memory_mb": "Peak memory, MB",
}


@dataclass(frozen=True, slots=True)
class MoveRow:
    """One number that left its interval."""

    track: str
    editor: str
    seed: int
    metric: str
    before: str
    interval: str
    after: str
    direction: str
    """``up`` or ``down``; empty where it is no longer measured."""
    built_in: bool
    fragment: str
    """Fragment of this page's address that shows the number over time."""

    @property
    def cells(self) -> tuple[str | int | bool, ...]:
        """As the page's script reads it, for another night than the one before."""
        named = (self.editor, self.seed, self.built_in, self.metric, self.fragment, self.track)
        return (*named, self.before, self.interval, self.after, self.direction)


@dataclass(frozen=True, slots=True)
class NightRow:
    """One night in the list."""

    day: str
    commit: str
    version: str
    numbers: int
    moved: int
    ours: int


@dataclass(frozen=True, slots=True)
class NightsView:
    """The page."""

    last: NightRow | None
    before: str
    """Day of the night before the last; empty if there was none."""
    added: int
    """Numbers that the night before did not have."""
    moves: tuple[MoveRow, ...]
    total_moves: int
    nights: tuple[NightRow, ...]
    """Newest first."""
    total: int


def digest(folder: Path | None) -> str:
    """Hash of all nights; the same as long as none is added, removed or changed."""
    found = hashlib.sha256()
    for path in night_files(folder) if folder is not None else []:
        found.update(path.parent.name.encode() + path.read_bytes())
    return found.hexdigest()


def nights_of(folder: Path | None) -> list[Night]:
    """All nights in order of time.

    Raises:
        StoreError: One of them is damaged; all such are named.
    """
    return read_nights(folder) if folder is not None else []


def nights_view(nights: Sequence[Night]) -> NightsView:
    """The page of some nights, given in order of time."""
    moved = [moves(one, other) for one, other in zip(nights, nights[1:], strict=False)]
    rows = [_night_row(night, found) for night, found in zip(nights, [[], *moved], strict=False)]
    last, before = (nights[-1], nights[-2]) if len(nights) > 1 else (None, None)
    shown = moved[-1] if moved else []
    return NightsView(
        last=rows[-1] if rows else None,
        before=before.day if before else "",
        added=_added(before, last) if last and before else 0,
        moves=_move_rows(shown, nights[-1]) if nights else (),
        total_moves=len(shown),
        nights=tuple(rows[::-1][:MOST_NIGHTS]),
        total=len(rows),
    )


def _added(before: Night, after: Night) -> int:
    return len({number.key for number in after.numbers} - {number.key for number in before.numbers})


def _move_rows(found: Sequence[Move], night: Night) -> tuple[MoveRow, ...]:
    """The first moves, those of built-in editors before all others."""
    ordered = sorted(found, key=lambda move: (not move.built_in, move.before.key))
    return tuple(_move_row(move, night) for move in ordered[:MOST_MOVES])


def since_files(nights: Sequence[Night]) -> Iterator[File]:
    """The last night against each one before it: the answer to "what moved since then?", a file per night."""
    for before in nights[:-1]:
        found = moves(before, nights[-1])
        value = {
            "day": before.day,
            "total": len(found),
            "ours": sum(move.built_in for move in found),
            "added": _added(before, nights[-1]),
            "rows": [row.cells for row in _move_rows(found, nights[-1])],
        }
        yield File(f"data/nights/since-{before.day}.js", script(f"nights/since-{before.day}", value))


def _night_row(night: Night, found: Sequence[Move]) -> NightRow:
    ours = sum(move.built_in for move in found)
    return NightRow(night.day, (night.commit or "")[:12], night.version, len(night.numbers), len(found), ours)


def _move_row(move: Move, night: Night) -> MoveRow:
    one, other = move.before, move.after
    value = other.value if other is not None else None
    moved = "" if value is None or one.value is None else "up" if value > one.value else "down"
    known = one.low is not None and one.high is not None
    return MoveRow(
        track=night.tracks.get(one.track, one.track),
        editor=labels.editor_title(one.editor),
        seed=one.seed,
        metric=metric_title(one.metric),
        before=significant(one.value),
        interval=f"{significant(one.low)}–{significant(one.high)}" if known else "",
        after=significant(value) if value is not None else MISSING,
        direction=moved,
        built_in=move.built_in,
        fragment=f"track={file_name(one.track)}&metric={file_name(one.metric)}",
    )


def metric_title(metric: str) -> str:
    """A number's name in words."""
    if metric.startswith("ability:"):
        return f"{labels.ability_title(metric)}, items answered right"
    return _TITLES.get(metric) or labels.metric_title(metric)


def is_percent(metric: str) -> bool:
    """True if a number runs from 0 to 100."""
    return metric.startswith("ability:") or any(one.name == metric and one.unit == "%" for one in METRICS)


def night_data(nights: Sequence[Night], site: Mapping[str, Look]) -> Iterator[File]:
    """Files that the page's script loads: one index, and one per track and metric; ``site`` has settled looks."""
    looks = editor_looks((number.editor for night in nights for number in night.numbers), site)
    by_track: dict[str, dict[str, list[list[Number]]]] = {}
    for place, night in enumerate(nights):
        for number in night.numbers:
            per_night = by_track.setdefault(number.track, {}).setdefault(number.metric, [[] for _ in nights])
            per_night[place].append(number)
    words = {track: text for night in nights for track, text in night.tracks.items()}
    index = {
        "days": [[date.fromisoformat(night.day).toordinal(), night.day] for night in nights],
        "tracks": [_track_entry(track, words.get(track, track), metrics, looks) for track, metrics in by_track.items()],
    }
    yield File("data/nights/index.js", script("nights", index))
    for track, metrics in by_track.items():
        for metric, per_night in metrics.items():
            name = f"{file_name(track)}/{file_name(metric)}"
            yield File(f"data/nights/{name}.js", script(f"nights/{name}", _lines(per_night)))


def _track_entry(
    track: str, words: str, metrics: Mapping[str, Sequence[Sequence[Number]]], looks: Mapping[str, Look]
) -> dict[str, Any]:
    names = sorted({n.editor for per_night in metrics.values() for night in per_night for n in night})
    order = [*(name for name in _FIRST if name in metrics), *sorted(set(metrics) - set(_FIRST))]
    return {
        "file": file_name(track),
        "title": words,
        "metrics": [[file_name(name), metric_title(name), is_percent(name)] for name in order],
        "editors": [[name, labels.editor_title(name), looks[name].data] for name in names],
    }


def _lines(per_night: Sequence[Sequence[Number]]) -> dict[str, Any]:
    """Editor → means over the seeds with their intervals, and the values of each seed, night by night."""
    editors = sorted({number.editor for night in per_night for number in night})
    seeds = {e: sorted({n.seed for night in per_night for n in night if n.editor == e}) for e in editors}
    found: dict[str, Any] = {}
    for editor in editors:
        at = [{n.seed: Interval(n.value, n.low, n.high) for n in night if n.editor == editor} for night in per_night]
        means = [combine(list(values.values()), least=None, most=None) for values in at]
        points = [[_short(values[s].value) if s in values else None for values in at] for s in seeds[editor]]
        found[editor] = {
            "value": [_short(one.value) for one in means],
            "low": [_short(one.low) for one in means],
            "high": [_short(one.high) for one in means],
            "points": points if len(points) > 1 else [],
        }
    return found


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def number_files(nights: Sequence[Night], tracks: Sequence[Track]) -> Iterator[File]:
    """Every number of every night, for downloading."""
    import pyarrow as pa

    yield from arrow_files("data/nights/numbers", pa.table(number_columns(nights, tracks)), text_rows=_TEXT_ROWS)


def number_columns(nights: Sequence[Night], tracks: Sequence[Track]) -> dict[str, list[Any]]:
    """Every number of every night.

    Args:
        nights: In order of time.
        tracks: Tracks of the site; of one that is not among them the id and the words are known.
    """
    by_id = {track.track_id: track for track in tracks}
    lines = [(night, number) for night in nights for number in night.numbers]
    columns: dict[str, list[Any]] = {
        name: [getattr(night, name) for night, _ in lines] for name in ("day", "commit", "version")
    }
    columns |= columns_of.of_tracks([by_id.get(number.track) for _, number in lines])
    columns["track_id"] = [number.track for _, number in lines]
    columns["track"] = [night.tracks.get(number.track) for night, number in lines]
    for name in ("editor", "distribution", "seed", "metric", "value", "low", "high"):
        columns[name] = [getattr(number, name) for _, number in lines]
    return columns
