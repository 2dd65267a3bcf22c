"""Chart data: curves of the store laid out on one axis of edits, as the page's script and its table alternative use it.

A chart has lines (its legend) and views (what can be shown in it: a metric in a window). Each view holds, per line,
values and interval bounds at the common ``xs``. Numbers are rounded to what can be read off a screen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from palimpsest.results.rows import BoardRow, Curve, CurvePoint, Interval, Track
from palimpsest.site import labels, series
from palimpsest.site.figures import Figure, interval_figure
from palimpsest.site.text import MISSING, significant


@dataclass(frozen=True, slots=True)
class View:
    """One thing that a chart can show."""

    key: str
    title: str
    points: Mapping[str, tuple[CurvePoint, ...]]
    """Line key → its points."""
    marks: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Line key → where it fell under its endurance threshold (edits, value)."""
    rules: tuple[tuple[float, str], ...] = ()
    """Horizontal reference lines: value and label."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure of the page."""

    name: str
    title: str
    note: str
    lines: tuple[series.Line, ...]
    views: tuple[View, ...]
    percent: bool = True
    """True: an axis from 0 to 100; else fitted to the data, from 0."""
    sync: str = ""
    """Charts with the same name move their cursors together."""

    @property
    def xs(self) -> tuple[int, ...]:
        """All numbers of edits at which any view has a point."""
        return tuple(sorted({p.edits for v in self.views for points in v.points.values() for p in points}))

    @property
    def empty(self) -> bool:
        """True when there is nothing to draw."""
        return not any(p.value is not None for v in self.views for points in v.points.values() for p in points)

    def payload(self) -> dict[str, Any]:
        """What the page's script reads."""
        xs = self.xs
        return {
            "xs": xs,
            "percent": self.percent,
            "sync": self.sync,
            "lines": [
                {"key": n.key, "label": n.label, "colour": n.look.colour, "dash": n.look.dash, "marker": n.look.marker}
                for n in self.lines
            ],
            "views": [_view_payload(view, xs, self.percent) for view in self.views],
        }

    def table(self) -> tuple[tuple[series.Line, tuple[Figure, ...]], ...]:
        """The first view as rows of figures, one per line, one figure per x."""
        view = self.views[0]
        return tuple((line, tuple(self._figures(view.points.get(line.key, ())))) for line in self.lines)

    def _figures(self, points: Sequence[CurvePoint]) -> Iterable[Figure]:
        at = {point.edits: point for point in points}
        for x in self.xs:
            point = at.get(x)
            if point is None or point.value is None:
                yield Figure(MISSING)
            elif self.percent:
                yield interval_figure(Interval(point.value, point.low, point.high))
            else:
                yield Figure(significant(point.value))


def _view_payload(view: View, xs: Sequence[int], percent: bool) -> dict[str, Any]:
    lines: dict[str, list[list[float | None]]] = {}
    for key, points in view.points.items():
        at = {point.edits: point for point in points}
        columns = [[_short(getattr(at.get(x), name, None), percent) for x in xs] for name in ("value", "low", "high")]
        lines[key] = columns if any(v is not None for v in columns[1]) else columns[:1]
    return {
        "key": view.key,
        "title": view.title,
        "lines": lines,
        "marks": {key: [round(x, 1), _short(y, percent)] for key, (x, y) in view.marks.items()},
        "failed": {
            k: [p.edits for p in points if p.imputed]
            for k, points in view.points.items()
            if any(p.imputed for p in points)
        },
        "rules": [{"y": _short(y, percent), "label": label} for y, label in view.rules],
    }


def _short(value: float | None, percent: bool) -> float | None:
    if value is None:
        return None
    return round(value, 2) if percent else float(f"{value:.5g}")


def value_at(points: Sequence[CurvePoint], edits: float) -> float | None:
    """The value of a curve at any number of edits, straight between its points."""
    known = [(p.edits, p.value) for p in points if p.value is not None]
    for (x0, y0), (x1, y1) in zip(known, known[1:], strict=False):
        if x0 <= edits <= x1:
            return y0 + (y1 - y0) * (edits - x0) / (x1 - x0)
    return next((y for x, y in known if x == edits), None)


def pick(curves: Iterable[Curve], metric: str, window: str) -> tuple[CurvePoint, ...]:
    """The points of one metric in one window; empty if it was not measured."""
    return next((c.points for c in curves if c.metric == metric and c.window == window), ())


def track_charts(
    track: Track, rows: Sequence[BoardRow], curves: Mapping[str, Sequence[Curve]], forms: Sequence[str]
) -> tuple[Chart, Chart]:
    """Editing score and general abilities against edits, all runs of a track in each."""
    looks = series.editor_looks(rows)
    named = tuple(
        series.Line(row.run_id, name, looks[row.run_id]) for row, name in zip(rows, run_names(rows), strict=True)
    )
    editing = [
        _score_view(track, rows, curves, component, form, "all") for component in labels.COMPONENTS for form in forms
    ]
    editing += [_score_view(track, rows, curves, "score", form, w) for w in ("first", "latest") for form in forms]
    score = Chart(
        name="track-editing",
        title="Editing",
        note="A ring marks where a line falls under 80 % of its start; a cross, a run that had collapsed.",
        lines=named,
        views=tuple(editing),
        sync="track",
    )
    return score, _ability_chart(track, rows, curves, named)


def _score_view(
    track: Track,
    rows: Sequence[BoardRow],
    curves: Mapping[str, Sequence[Curve]],
    component: str,
    form: str,
    window: str,
) -> View:
    metric = f"{component}_{form}"
    points = {row.run_id: pick(curves.get(row.run_id, ()), metric, window) for row in rows}
    marks: dict[str, tuple[float, float]] = {}
    if metric == track.main_metric and window == "all":
        marks = _marks(points, {row.run_id: row.endurance_editing.edits for row in rows})
    rules: tuple[tuple[float, str], ...] = ()
    if component == "neighborhood" and window == "all":
        before = next((p for row in rows if (p := pick(curves.get(row.run_id, ()), metric, "planned"))), ())
        rules = tuple((p.value, "before editing") for p in before[:1] if p.value is not None)
    title = f"{labels.METRICS[component]} ({labels.FORMS[form]}), {labels.WINDOWS[window]}"
    return View(f"{component}|{form}|{window}", title, points, marks, rules)


def _marks(
    points: Mapping[str, tuple[CurvePoint, ...]], crossings: Mapping[str, float | None]
) -> dict[str, tuple[float, float]]:
    marks = {}
    for key, edits in crossings.items():
        value = value_at(points[key], edits) if edits is not None else None
        if edits is not None and value is not None:
            marks[key] = (edits, value)
    return marks


def _ability_chart(
    track: Track, rows: Sequence[BoardRow], curves: Mapping[str, Sequence[Curve]], named: tuple[series.Line, ...]
) -> Chart:
    kept = {row.run_id: pick(curves.get(row.run_id, ()), "abilities_kept", "") for row in rows}
    marks = _marks(kept, {row.run_id: row.endurance_abilities.edits for row in rows})
    title = "Abilities kept, mean over the tasks"
    views = [View("abilities_kept", title, kept, marks, ((80.0, "80 %"), (50.0, "50 %")))]
    for ability in track.abilities:
        points = {row.run_id: pick(curves.get(row.run_id, ()), f"ability:{ability}", "") for row in rows}
        if any(points.values()):
            views.append(View(f"ability:{ability}", f"{labels.ability_title(ability)}: items answered right", points))
    return Chart(
        name="track-abilities",
        title="General abilities",
        note="Above chance, in percent of what the pristine model can do; single tasks as measured.",
        lines=named,
        views=tuple(views),
        sync="track",
    )


def run_names(rows: Sequence[BoardRow]) -> tuple[str, ...]:
    """Editor titles, with whatever tells runs of the same editor apart."""
    titles = [labels.editor_title(row.editor) for row in rows]
    names = []
    for row, title in zip(rows, titles, strict=True):
        twins = [other for other in rows if other.editor == row.editor]
        name = f"{title}, seed {row.seed}" if len({t.seed for t in twins}) > 1 else title
        if sum(t.seed == row.seed for t in twins) > 1:
            name += f" ({row.run_id[:6]})"
        names.append(name)
    return tuple(names)
