"""The front page's view of one track: its chooser, its table, its charts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from palimpsest.results.rows import BoardRow, Curve, Track
from palimpsest.site import charts, figures, labels, series
from palimpsest.site.figures import EnduranceBar, Figure
from palimpsest.site.text import count, day, file_name


@dataclass(frozen=True, slots=True)
class Choice:
    """One link of the track chooser."""

    label: str
    note: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class RowView:
    """One row of the table."""

    row: BoardRow
    name: str
    title: str
    href: str
    look: series.Look
    rank: Figure
    bar: EnduranceBar
    half_life: Figure
    components: tuple[tuple[str, tuple[tuple[str, Figure], ...]], ...]
    """(component, ((form, figure), …)) in the order of the columns."""
    abilities: Figure
    seconds: Figure
    memory: Figure
    status: labels.Status
    finished: str
    early: bool
    """True when the figures are about fewer edits than the track plans."""

    @property
    def search(self) -> str:
        """What the filter looks at."""
        row = self.row
        seed = f"seed {row.seed}"
        return " ".join((self.title, row.editor, row.distribution, row.version, seed, self.status.word, self.finished))


@dataclass(frozen=True, slots=True)
class BoardView:
    """A track's page."""

    track: Track
    title: str
    chooser: tuple[tuple[str, tuple[Choice, ...]], ...]
    facts: tuple[tuple[str, str], ...]
    forms: tuple[str, ...]
    rows: tuple[RowView, ...]
    charts: tuple[charts.Chart, ...]
    resolution: str


def forms_of(track: Track) -> tuple[str, ...]:
    """Which forms of the scores a task has; the first is the one that ranks."""
    return ("token_accuracy",) if track.task_form == "zsre" else ("argmax", "preference")


def order_tracks(tracks: Sequence[Track]) -> list[Track]:
    """The front page's track first: most runs, then longest; then by name."""
    return sorted(tracks, key=lambda t: (-t.runs, -t.edits, t.model, t.task, t.track_id))


def track_title(track: Track) -> str:
    """A track in a few words."""
    return f"{track.model}, {track.task}, {count(track.edits)} edits"


def board_view(
    track: Track,
    tracks: Sequence[Track],
    rows: Sequence[BoardRow],
    curves: Mapping[str, Sequence[Curve]],
    track_href: Callable[[Track], str],
) -> BoardView:
    """Everything that a track's page shows."""
    forms = forms_of(track)
    looks = series.editor_looks(rows)
    names = charts.run_names(rows)
    return BoardView(
        track=track,
        title=track_title(track),
        chooser=chooser(track, tracks, track_href),
        facts=facts(track),
        forms=forms,
        rows=tuple(row_view(row, name, looks[row.run_id], forms) for row, name in zip(rows, names, strict=True)),
        charts=tuple(c for c in charts.track_charts(track, rows, curves, forms) if not c.empty),
        resolution=f"{track.resolution:.1f}" if track.resolution is not None else "",
    )


def row_view(row: BoardRow, name: str, look: series.Look, forms: tuple[str, ...]) -> RowView:
    """One run as a row."""
    return RowView(
        row=row,
        name=name,
        title=labels.editor_title(row.editor),
        href=f"run/{file_name(row.run_id)}.html",
        look=look,
        rank=figures.rank_figure(row),
        bar=figures.endurance_bar(row),
        half_life=figures.endurance_figure(row.half_life),
        components=tuple((c, figures.form_figures(row.metrics, c, forms)) for c in labels.COMPONENTS),
        abilities=figures.interval_figure(row.abilities_kept),
        seconds=figures.seconds_figure(row.seconds_per_edit),
        memory=figures.memory_figure(row.peak_memory_mb),
        status=labels.STATUSES[row.status],
        finished=day(row.finished_at or row.started_at),
        early=row.metrics_at is not None and row.metrics_at < row.edits_planned,
    )


def facts(track: Track) -> tuple[tuple[str, str], ...]:
    """What fixes the track, as terms and descriptions."""
    points = ", ".join(count(edits) for edits in track.checkpoints)
    scored = "every edit so far" if track.sample is None else f"a seeded sample of {count(track.sample)} per window"
    return (
        ("Model", f"{track.model} · {track.model_fingerprint[:12]}"),
        ("Task", " · ".join(filter(None, (track.task, f"{track.task_form} form", track.task_hash[:12])))),
        ("Schedule", f"{count(track.edits)} edits in batches of {count(track.batch_size)}, {track.edit_order}"),
        ("Checkpoints", points),
        ("Scored", scored),
        ("Abilities", ", ".join(labels.ability_title(a).lower() for a in track.abilities) or "none"),
        ("Protocol", str(track.protocol)),
    )


def chooser(
    current: Track, tracks: Sequence[Track], href: Callable[[Track], str]
) -> tuple[tuple[str, tuple[Choice, ...]], ...]:
    """Model × task × schedule as three rows of links; each leads to the nearest track that has the chosen part."""
    parts: tuple[tuple[str, Callable[[Track], tuple[object, ...]], Callable[[Track], str]], ...] = (
        ("Model", _model_key, lambda t: t.model),
        ("Task", _task_key, lambda t: t.task),
        ("Schedule", _schedule_key, lambda t: f"{count(t.edits)} edits, batches of {count(t.batch_size)}"),
    )
    keys = [key for _, key, _ in parts]
    return tuple((name, _choices(current, tracks, key, label, keys, href)) for name, key, label in parts)


def _choices(
    current: Track,
    tracks: Sequence[Track],
    key: Callable[[Track], tuple[object, ...]],
    label: Callable[[Track], str],
    keys: Sequence[Callable[[Track], tuple[object, ...]]],
    href: Callable[[Track], str],
) -> tuple[Choice, ...]:
    groups: dict[tuple[object, ...], list[Track]] = {}
    for track in tracks:
        groups.setdefault(key(track), []).append(track)
    same_label = Counter(label(group[0]) for group in groups.values())
    choices = []
    for value, group in sorted(groups.items(), key=lambda item: (label(item[1][0]), repr(item[0]))):
        nearest = current if value == key(current) else max(group, key=lambda t: sum(k(t) == k(current) for k in keys))
        ambiguous = same_label[label(group[0])] > 1
        note = _difference(key, group[0]) if ambiguous else ""
        choices.append(Choice(label(group[0]), note, href(nearest), value == key(current)))
    return tuple(choices)


def _model_key(track: Track) -> tuple[object, ...]:
    return (track.model, track.model_fingerprint)


def _task_key(track: Track) -> tuple[object, ...]:
    return (track.task, track.task_hash)


def _schedule_key(track: Track) -> tuple[object, ...]:
    return (
        track.edits,
        track.batch_size,
        track.checkpoints,
        track.edit_order,
        -1 if track.sample is None else track.sample,
        track.protocol,
        track.abilities,
    )


def _difference(key: Callable[[Track], tuple[object, ...]], track: Track) -> str:
    if key is _model_key:
        return track.model_fingerprint[:8]
    if key is _task_key:
        return track.task_hash[:8]
    return track.track_id[:8]
