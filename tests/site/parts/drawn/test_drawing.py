"""Figures for print: what they show, and files of every form."""

from __future__ import annotations

import io
import re
import sys
from dataclasses import replace
from typing import Any

import matplotlib.image
import pytest
from matplotlib.figure import Figure

from palimpsest.harness.errors import MissingResource
from palimpsest.results.records import Interval
from palimpsest.results.store.bulk import Series
from palimpsest.site.parts.drawn import drawing, plots
from palimpsest.site.parts.table import TableRow, table_rows
from palimpsest.site.words.looks import MARKERS
from tests.labs.sample_source import SampleSource

SOURCE = SampleSource()
TRACK, _RUNS = SOURCE.track(SOURCE.all_tracks[0].track_id)
ROWS = table_rows(TRACK, _RUNS, SOURCE.table_series(TRACK.track_id))
AT = TRACK.checkpoints[-1]
SALT: dict[str, Any] = {"salt": "3f9c", "date": "2026-11-02"}
HEADING = ("a model on a task, 40 edits", "track 3f9c")


def row(name: str, done: int = AT) -> TableRow:
    """A row of one course that ended by itself."""
    found = next(one for one in ROWS if one.standing is not None)
    runs = (replace(found.first, run_id=name, edits_done=done),)
    return replace(found, label=name, runs=runs, counted=runs)


def series(values: list[float], imputed: tuple[int, ...] = (), window: str = "all") -> Series:
    edits = [10 * (place + 1) for place in range(len(values))]
    return Series("quality", window, edits, [*values], [v - 2 for v in values], [v + 2 for v in values], [*imputed])


def curves(*rows: tuple[TableRow, Series]) -> plots.Curves:
    found = {one.counted[0].run_id: [curve] for one, curve in rows}
    return plots.curves([one for one, _ in rows], found, "quality", "all")


def test_every_look_of_the_page_has_a_marker_and_a_colour() -> None:
    assert set(drawing.SIGNS) == set(MARKERS)
    assert len(set(drawing.inks())) >= 8 and all(re.fullmatch("#[0-9a-f]{6}", ink) for ink in drawing.inks())


def test_the_line_of_a_dead_row_ends_at_its_last_measured_checkpoint() -> None:
    drawn = curves((row("a"), series([90, 70, 0, 0], imputed=(30, 40))))
    assert drawn.lines[0].edits == (10, 20) and drawn.lines[0].died
    alive = curves((row("a"), series([90, 70, 0, 0])))
    assert alive.lines[0].edits == (10, 20, 30, 40) and not alive.lines[0].died


def test_a_row_that_collapsed_before_the_checkpoint_has_no_mark_and_is_named() -> None:
    metrics = {name: {AT: Interval(50.0)} for name in (TRACK.main_metric, "abilities_kept")}
    alive, dead = (replace(row(name, done), metrics=metrics) for name, done in (("alive", AT), ("dead", AT - 1)))
    drawn = plots.pareto(TRACK, [alive, dead], AT)
    assert [mark.label for mark in drawn.marks] == [alive.label]
    assert f"collapsed before: {dead.label}" in drawn.title


def test_the_front_holds_only_rows_that_no_other_beats_in_both() -> None:
    places = {"a": (90.0, 20.0), "b": (80.0, 60.0), "c": (70.0, 50.0), "d": (60.0, 80.0)}
    rows = [
        replace(row(name), metrics={"abilities_kept": {AT: Interval(x)}, TRACK.main_metric: {AT: Interval(y)}})
        for name, (x, y) in places.items()
    ]
    assert plots.pareto(TRACK, rows, AT).front == (places["a"], places["b"], places["d"])


@pytest.mark.parametrize("form", drawing.FORMS)
def test_the_same_figure_is_the_same_bytes_and_tells_only_the_boards_date(form: str) -> None:
    drawn = curves((row("a"), series([90.0, 70.0])))
    data = drawing.draw(drawn, HEADING, form, **SALT)
    assert data == drawing.draw(drawn, HEADING, form, **SALT)
    assert data.startswith({"pdf": b"%PDF", "svg": b"<?xml", "png": b"\x89PNG"}[form])
    dates = re.findall(rb"(?:D:|<dc:date>)(\d{8}|\d{4}-\d\d-\d\d)", data)
    assert dates == {"pdf": [b"20261102"], "svg": [b"2026-11-02"], "png": []}[form]


def test_a_curve_below_zero_is_inside_its_figure() -> None:
    """What is kept above chance is below zero where a model answers worse than chance."""
    drawn = curves((row("a"), series([90.0, -7.0])))
    axes = Figure().add_subplot()
    drawing._fill(axes, drawn)
    assert axes.get_ylim()[0] < min(low for low in drawn.lines[0].low if low is not None) < 0


def test_a_png_is_wide_enough_for_print_and_white() -> None:
    pixels = matplotlib.image.imread(
        io.BytesIO(drawing.draw(plots.headline(TRACK, [row("a")]), HEADING, "png", **SALT))
    )
    assert pixels.shape[1] >= 2000
    assert (pixels[[0, 0, -1, -1], [0, -1, 0, -1], :3] == 1).all()


@pytest.mark.parametrize(
    "label", ["$\\frac{", "</svg><script>alert(1)</script>", "-->", "x" * 5000, "\x00\u202e", "名", "", "_hidden"]
)
def test_a_strangers_name_breaks_no_figure(label: str) -> None:
    hostile = replace(row("a"), label=label)
    metrics = {name: {AT: Interval(50.0)} for name in (TRACK.main_metric, "abilities_kept")}
    shown = [
        curves((hostile, series([90.0, 70.0]))),
        plots.headline(TRACK, [hostile]),
        plots.pareto(TRACK, [replace(hostile, metrics=metrics)], AT),
    ]
    for plot in shown:
        data = drawing.draw(plot, (label, label), "svg", **SALT)
        assert b"<script" not in data and data.rstrip().endswith(b"</svg>")


def test_without_matplotlib_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingResource, match=r"palimpsest-bench\[figures\]"):
        drawing.draw(plots.headline(TRACK, [row("a")]), HEADING, "svg", **SALT)
