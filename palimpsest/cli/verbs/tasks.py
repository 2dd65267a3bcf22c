"""`palimpsest tasks`: look at files of edits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from palimpsest.cli import options, output
from palimpsest.harness.system.atomic_files import atomic_write_bytes
from palimpsest.tasks import checking

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Look at files of edits.")


@app.callback()
def _tasks() -> None:
    """Look at files of edits."""


@app.command(
    epilog="Examples:\n\npalimpsest tasks check my-edits.json\n\n"
    "palimpsest tasks check my-edits.json --convert usable.jsonl\n\nMore: docs/command-line.md"
)
def check(
    file: Annotated[Path, typer.Argument(help="JSON, JSON lines, either gzipped, or Parquet.", metavar="FILE")],
    convert: Annotated[
        Path | None, typer.Option("--convert", help="Write the usable records there, as JSON lines.")
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Say what kind of edits a file holds, how many records are usable, and why others are not."""
    options.writable_file(convert, "--convert")
    found = checking.check(file)
    if convert is not None:
        atomic_write_bytes(convert, checking.lines(found).encode())
    usable, records = len(found.found.cases), found.found.records
    if as_json:
        output.json_line(
            {"file": file, "task": found.task, "kind": found.kind, "records": records, "usable": usable,
             "problems": list(found.found.problems)}
        )  # fmt: skip
        return
    for text in found.notes:
        output.note(text)
    output.line(f"{file}: {found.kind}; {usable:,} of {records:,} records are usable.")
    place = convert or file
    skip = " --skip-bad-records" if usable < records and convert is None else ""
    output.note(f"Use it with: palimpsest run --task {found.task} --data {place}{skip}")
