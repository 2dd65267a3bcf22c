"""`palimpsest score`: a model that was edited elsewhere, against its unedited base."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from palimpsest.cli import means, options, output
from palimpsest.harness.errors import MissingResource, UsageError
from palimpsest.harness.model.placement import Placement
from palimpsest.results.external import External, write_external
from palimpsest.site.words import labels
from palimpsest.site.words.text import fixed
from palimpsest.tasks.registry import data_files

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Examples:\n\npalimpsest score edited-model --base gpt2-xl --task counterfact --edits 1000\n\n"
    "palimpsest score edited-model --base ./my-model --task knowedit --data mine.json\n\nMore: docs/command-line.md"
)
def score(
    folder: Annotated[
        Path, typer.Argument(help="Edited model: a folder of transformers, with safetensors.", metavar="FOLDER")
    ],
    base: Annotated[str, typer.Option("--base", help="Unedited model: a name, a folder or a hub id.", metavar="MODEL")],
    task: Annotated[str, typer.Option("--task", help="Task whose first records were edited.", metavar="NAME")],
    edits: Annotated[
        int | None,
        typer.Option("--edits", parser=options.whole_number, metavar="N", help="How many of them.", show_default="all"),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="What it is called.", metavar="TEXT", show_default="the folder's name"),
    ] = None,
    data: options.DataOption = None,
    skip_bad_records: options.SkipBadOption = False,
    device: options.DeviceOption = "cpu",
    threads: options.ThreadsOption = None,
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Score a model that was edited elsewhere against its unedited base, as a row that is never ranked."""
    # Late: torch loads in 2 s, which --help and a wrong word need not wait for.
    from palimpsest.cli.external_scores import score_external

    if not folder.is_dir():
        raise MissingResource(f"{folder} is no folder. Expected what save_pretrained writes.")
    called = output.clean(name if name is not None else folder.resolve().name).strip()
    if not 1 <= len(called) <= 200:
        raise UsageError("--name: expected 1 to 200 characters.")
    placement = Placement(device=device, threads=threads)
    placement.check()
    found = data_files(data or (), [task.partition(":")[0]], skip_bad=skip_bad_records).load(task)
    means.tell_of_data(found.origin)
    row = score_external(folder, base, found, edits, name=called, placement=placement)
    path = write_external(options.home_folder(home) / "external", row)
    if row.changed == 0:
        output.note(f"{called} has the very weights of {row.base}: nothing in it was edited.")
    if as_json:
        output.json_line({"id": row.id, "file": path, **row.model_dump(mode="json")})
        return
    output.note(
        f"{called}: {row.changed} of {row.parameters} parameters differ from {row.base}. External: nobody saw how it "
        "was edited, so it is ranked with no run."
    )
    _tell(row)
    output.note(f"Kept in {path}; the page shows it after: palimpsest site build")


def _tell(row: External) -> None:
    """The scores, in percent, as a table."""
    rows = [
        [labels.metric_title(one.metric), fixed(one.before), fixed(one.value), f"{fixed(one.low)}–{fixed(one.high)}"]
        for one in row.scores
        if one.metric.startswith(labels.COMPONENTS)
    ]
    output.table(["metric", "base", "edited", "95 % interval"], rows)
