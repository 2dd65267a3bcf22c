"""`palimpsest figure`: the figures of a track's page as files for print, without a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from palimpsest.cli import options, output
from palimpsest.cli.chosen_track import ChosenTrack, TrackArgument, chosen_track
from palimpsest.cli.store_place import store_path
from palimpsest.harness.errors import MissingResource, UsageError, unknown_name
from palimpsest.harness.system.atomic_files import atomic_write_bytes
from palimpsest.results.store import bulk
from palimpsest.results.store.database import Store
from palimpsest.site.parts.drawn import drawing, plots
from palimpsest.site.parts.table import QUALITY, TableRow
from palimpsest.site.words.text import file_name

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Examples:\n\npalimpsest figure --out figures\n\npalimpsest figure 3f9c --kind pareto --format pdf\n\n"
    "palimpsest figure 3f9c --kind curves --metric efficacy_argmax --window first\n\nMore: docs/command-line.md"
)
def figure(
    track: TrackArgument = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--kind", help=f"One of {', '.join(plots.KINDS)}; repeatable.", metavar="KIND", show_default="all of them"
        ),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            help="Metric of the curves; repeatable.",
            metavar="NAME",
            show_default=f"{QUALITY}, of which effective edits are the area",
        ),
    ] = None,
    window: Annotated[
        str, typer.Option("--window", help="Edits that the curves ask about: all, first or latest.", metavar="WINDOW")
    ] = "all",
    editors: Annotated[
        list[str] | None,
        typer.Option("--editor", help="Only rows of this editor; repeatable.", metavar="NAME", show_default="all"),
    ] = None,
    at: Annotated[
        int | None,
        typer.Option(
            "--at",
            parser=options.whole_number,
            metavar="N",
            help="Checkpoint of the scatter plot.",
            show_default="the last",
        ),
    ] = None,
    forms: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help=f"One of {', '.join(drawing.FORMS)}; repeatable.",
            metavar="FORM",
            show_default="all of them",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the files.", metavar="DIR")] = Path(),
    home: options.HomeOption = None,
) -> None:
    """Write the figures of a track's page as PDF, SVG and PNG for print, without a browser."""
    wanted = _words("--kind", kinds, plots.KINDS)
    written = _words("--format", forms, drawing.FORMS)
    options.writable_folder(out, "--out")
    with Store.open(store_path(options.home_folder(home)), read_only=True) as store:
        chosen = chosen_track(store, track, "figure")
        rows = _rows(chosen, editors or [])
        found = _plots(store, chosen, rows, wanted, metrics or [QUALITY], window, at)
    head = plots.heading(chosen.track, rows)
    date = max((row.date for row in rows if row.date), default="")[:10]
    for plot in found:
        for form in written:
            data = drawing.draw(plot, head, form, salt=f"{chosen.track.track_id} {plot.name}", date=date)
            path = out / f"palimpsest-{file_name(chosen.track.track_id)}-{plot.name}.{form}"
            _write(path, data)
            output.line(str(path))


def _words(flag: str, given: list[str] | None, known: tuple[str, ...]) -> list[str]:
    """The words that were given, all if none was.

    Raises:
        UsageError: One of them is not known.
    """
    words = given or list(known)
    for word in words:
        if word not in known:
            raise UsageError(f"{flag} {output.clean(word)}: expected one of {', '.join(known)}.")
    return words


def _rows(chosen: ChosenTrack, editors: list[str]) -> tuple[TableRow, ...]:
    """Rows that ended by themselves, of these editors.

    Raises:
        UsageError: The track has no such row.
    """
    rows = plots.ended(chosen.rows)
    known = {row.first.editor for row in rows}
    for name in editors:
        if name not in known:
            raise unknown_name("Editor", name, sorted(known), "palimpsest table")
    if out := len(chosen.rows) - len(rows):
        output.note(f"{out} row{' is' if out == 1 else 's are'} left out: no run of it ended by itself.")
    return tuple(row for row in rows if not editors or row.first.editor in editors)


def _plots(
    store: Store,
    chosen: ChosenTrack,
    rows: tuple[TableRow, ...],
    kinds: list[str],
    metrics: list[str],
    window: str,
    at: int | None,
) -> list[plots.Plot]:
    """The figures that are wanted.

    Raises:
        UsageError: A metric or window is not measured on these rows, or the track has no such checkpoint.
    """
    found: list[plots.Plot] = []
    if "headline" in kinds:
        found.append(plots.headline(chosen.track, rows))
    if "curves" in kinds:
        series = bulk.series(store, [run.run_id for row in rows for run in row.counted])
        found += [plots.curves(rows, series, metric, _window(series, metric, window)) for metric in metrics]
    if "pareto" in kinds:
        scatter = plots.pareto(chosen.track, rows, chosen.checkpoint(at))
        if not scatter.marks and len(kinds) > 1:
            output.note("No row has a score and abilities kept at this checkpoint, so there is no scatter plot.")
        elif not scatter.marks:
            raise UsageError("No row has a score and abilities kept at this checkpoint, so there is no scatter plot.")
        else:
            found.append(scatter)
    return found


def _window(series: dict[str, list[bulk.Series]], metric: str, window: str) -> str:
    """The window of a metric: the one that is wanted, or none where the metric has none.

    Raises:
        UsageError: The metric is not measured in it.
    """
    known: dict[str, set[str]] = {}
    for curves in series.values():
        for one in curves:
            known.setdefault(one.metric, set()).add(one.window)
    if metric not in known:
        raise unknown_name("Metric", metric, sorted(known), "palimpsest list metrics")
    if known[metric] == {""}:
        return ""
    if window not in known[metric]:
        raise UsageError(
            f"--window {output.clean(window)}: {metric} is measured in {', '.join(sorted(known[metric]))}."
        )
    return window


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_bytes(path, data)
    except OSError as error:
        raise MissingResource(
            f"{path} cannot be written: {error.strerror}. Choose another place with --out."
        ) from error
