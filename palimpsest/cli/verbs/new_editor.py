"""`palimpsest new-editor`: write a plugin package to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from palimpsest.cli import output
from palimpsest.harness.authoring.template import write_package

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Examples:\n\npalimpsest new-editor my-editor --kind memory\n\n"
    "palimpsest new-editor my-editor --into ~/work\n\nMore: docs/writing-an-editor.md"
)
def new_editor(
    name: Annotated[str, typer.Argument(help="Of the editor: lower-case words with hyphens.", metavar="NAME")],
    into: Annotated[
        Path, typer.Option("--into", help="Folder that the package's own is made in.", metavar="DIR")
    ] = Path(),
    kind: Annotated[
        str, typer.Option("--kind", help="What to start from: pipeline, weights or memory.", metavar="KIND")
    ] = "pipeline",
) -> None:
    """Write a small package with an editor of your own, complete with a test, that runs as it is."""
    for path in write_package(name, into, kind):
        output.line(str(path))
    output.line()
    output.line(f"Next: pip install -e {into / name} && palimpsest check {name}")
