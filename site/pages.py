"""The pages of the site, one after the other: where each lies and what it says. Only one is in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from palimpsest.results.rows import Track
from palimpsest.site import board, charts, labels, runs, text
from palimpsest.site.source import Source

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'"
)
"""Content-Security-Policy of every page. ``frame-ancestors`` has no effect in a meta element and is left out."""

_TEMPLATES = Path(__file__).resolve().parent / "templates"


@dataclass(frozen=True, slots=True)
class Page:
    """One file of the site."""

    path: str
    """Relative to the site's folder, with forward slashes."""
    html: str


def environment() -> jinja2.Environment:
    """Templates with escaping always on, foreign text cleaned, and an error for every name that does not exist."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=text.finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters["short"] = text.clean
    env.globals.update(
        csp=POLICY,
        count=text.count,
        fixed=text.fixed,
        seconds=text.seconds,
        minute=text.minute,
        missing=text.MISSING,
        form_names=labels.FORMS,
        form_help=labels.FORM_HELP,
        component_names=labels.METRICS,
        verdict_shapes=labels.VERDICT_SHAPES,
        verdict_words=labels.VERDICT_WORDS,
    )
    return env


def render_all(source: Source, version: str) -> Iterator[Page]:
    """Every page: the front page, one per track, one per run, and how to read them."""
    env = environment()
    tracks = board.order_tracks(source.tracks())
    total = sum(track.runs for track in tracks)
    foot = f"{total} runs on {len(tracks)} track{'s' if len(tracks) != 1 else ''}." if tracks else "No runs yet."
    shared = {"version": version, "foot": foot}
    yield _reading_page(env, shared)
    if not tracks:
        yield Page("index.html", env.get_template("empty.html").render(shared, page="board", root=""))
    for index, track in enumerate(tracks):
        yield from _track_pages(env, source, track, tracks, shared, front=index == 0)


def track_path(track: Track) -> str:
    """Where a track's page lies."""
    return f"track/{text.file_name(track.track_id)}.html"


def _track_pages(
    env: jinja2.Environment,
    source: Source,
    track: Track,
    tracks: Sequence[Track],
    shared: dict[str, Any],
    *,
    front: bool,
) -> Iterator[Page]:
    rows = source.board(track.track_id)
    curves = {row.run_id: source.curves(row.run_id) for row in rows}
    view = board.board_view(track, tracks, rows, curves, track_path)
    context = {**shared, "view": view, "page": "board", "data": _data(view.charts)}
    template = env.get_template("board.html")
    if front:
        yield Page("index.html", template.render(context, root="", front=True))
    yield Page(track_path(track), template.render(context, root="../", front=False))
    for row in rows:
        detail = source.run_detail(row.run_id)
        run = runs.run_view(detail, curves[row.run_id], source.samples(row.run_id))
        html = env.get_template("run.html").render(
            shared, view=run, page="run", root="../", track_href=track_path(track), data=_data(run.charts)
        )
        yield Page(f"run/{text.file_name(row.run_id)}.html", html)


def _data(drawn: Sequence[charts.Chart]) -> Any:
    return text.data_block({"charts": {chart.name: chart.payload() for chart in drawn}}) if drawn else ""


def _reading_page(env: jinja2.Environment, shared: dict[str, Any]) -> Page:
    from palimpsest.harness.metrics import METRICS

    html = env.get_template("reading.html").render(
        shared, page="reading", root="", metrics=METRICS, title=labels.metric_title
    )
    return Page("reading.html", html)
