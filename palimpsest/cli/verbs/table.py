"""`palimpsest table`: the board of a track as a table for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from palimpsest import __version__
from palimpsest.cli import options, output
from palimpsest.cli.chosen_track import TrackArgument, chosen_track
from palimpsest.cli.store_place import store_path
from palimpsest.harness.errors import MissingResource, UsageError
from palimpsest.results.store.database import Store
from palimpsest.site.parts.paper_table import WRITERS, paper_table
from palimpsest.site.words import papers

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Examples:\n\npalimpsest table\n\npalimpsest table 3f9c --format markdown\n\n"
    "palimpsest table 3f9c --at 200 --out board.tex --bib board.bib\n\nMore: docs/command-line.md"
)
def table(
    track: TrackArgument = None,
    form: Annotated[str, typer.Option("--format", help=f"One of {', '.join(WRITERS)}.", metavar="FORM")] = "latex",
    at: Annotated[
        int | None,
        typer.Option(
            "--at",
            parser=options.whole_number,
            metavar="N",
            help="Checkpoint that scores are taken from.",
            show_default="the last",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File for the table.", show_default="stdout")] = None,
    bib: Annotated[Path | None, typer.Option("--bib", help="File for BibTeX entries of all that it cites.")] = None,
    home: options.HomeOption = None,
) -> None:
    """Write the board of a track as a table for a paper: LaTeX, Markdown or CSV."""
    if form not in WRITERS:
        raise UsageError(f"--format {output.clean(form)}: expected one of {', '.join(WRITERS)}.")
    options.writable_file(out, "--out")
    options.writable_file(bib, "--bib")
    with Store.open(store_path(options.home_folder(home)), read_only=True) as store:
        chosen = chosen_track(store, track, "table")
    found = paper_table(chosen.track, chosen.rows, chosen.checkpoint(at))
    text = WRITERS[form](found)
    if bib is not None:
        _write(bib, papers.bibliography(found.papers, __version__))
    if out is not None:
        _write(out, text + "\n")
        output.note(f"Track {found.track.track_id}: {len(found.rows)} rows.")
        output.line(str(out))
        return
    for line in text.split("\n"):
        output.line(line)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MissingResource(f"{path} cannot be written: {error.strerror}. Choose another place.") from error
