"""`palimpsest tasks`: look at files of edits."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from palimpsest.cli import means, options, output
from palimpsest.cli.known_facts import in_words, listed
from palimpsest.cli.wiring import installed_catalog
from palimpsest.harness.system.atomic_files import atomic_write_bytes
from palimpsest.tasks import checking, known
from palimpsest.tasks.registry import data_files

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
    output.note(f"Use it with: palimpsest run --task {found.task} --data {shlex.quote(str(place))}{skip}")


@app.command(
    name="known",
    epilog="Examples:\n\npalimpsest tasks known realworld-counterfact --model smollm2-135m\n\n"
    "palimpsest tasks known zsre --model ./my-model --data mine.json\n\n"
    "The same command continues what was interrupted. More: docs/data.md",
)
def list_known(
    task: Annotated[str, typer.Argument(help="Edit task, or TASK:FILE.", metavar="TASK")],
    model: Annotated[str, typer.Option("--model", help="Name, folder or hub id.", metavar="MODEL")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the list into this folder, too.", metavar="FOLDER")
    ] = None,
    data: options.DataOption = None,
    skip_bad_records: options.SkipBadOption = False,
    device: options.DeviceOption = "cpu",
    threads: options.ThreadsOption = None,
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """List the facts of a task that a model knows before any edit; --known of other commands uses the list."""
    files = data_files(data or (), [task.partition(":")[0]], skip_bad=skip_bad_records)
    given = means.checked(device, None, offload=False, threads=threads, files=files)
    whole = given.installed.tasks.load(known.whole_name(task))
    means.tell_of_data(whole.origin)
    ref, entry = installed_catalog(given.installed).model(model)
    facts = listed(whole, ref, entry, given, options.home_folder(home), quiet=quiet)
    path = known.keep_list(facts, out) if out is not None else known.place_of(facts)
    if as_json:
        output.json_line({"task": facts.name, "known": len(facts.cases), "of": len(whole.cases), "file": path})
        return
    output.line(in_words(whole, facts))
    output.note(f"The list is {path}. Use it with: palimpsest run --task {facts.name} --model {entry.name}")
