"""`palimpsest export`: an edited model of a run as a folder that transformers loads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from palimpsest.cli import means, options, output
from palimpsest.cli.run_folders import find_run, removed_saves
from palimpsest.cli.wiring import installation
from palimpsest.harness.runs.reading import read_spec
from palimpsest.tasks.registry import data_files

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Examples:\n\npalimpsest export 3f9c --edits 500 edited-model\n\n"
    "palimpsest export 3f9c --edits 500 edited-model --model ./my-model\n\n"
    "palimpsest export 3f9c --edits 500 edited-model --data counterfact.json\n\nMore: docs/command-line.md"
)
def export(
    run: Annotated[str, typer.Argument(help="A run's id, or the beginning of it.", metavar="RUN")],
    folder: Annotated[Path, typer.Argument(help="New folder for the model.", metavar="DIR")],
    edits: Annotated[
        int,
        typer.Option(
            "--edits", parser=options.whole_number, metavar="N", help="After how many edits; 0: the pristine model."
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", help="Folder or hub id of the unedited model, when its name does not tell."),
    ] = None,
    data: options.DataOption = None,
    stats_text: options.StatsTextOption = None,
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Write the edited model of a run, with its tokenizer, as a folder that transformers loads."""
    # Late: torch loads in 2 s, which --help and a wrong word need not wait for.
    from palimpsest.harness.runs.replay import export_model

    place = find_run(options.home_folder(home), run)
    if edits and removed_saves(place):
        output.note(
            f"{place.name} keeps no weights (--keep none): its edits are made again from the first, which takes about "
            "as long as in the run."
        )
    changed = export_model(
        place,
        edits,
        folder,
        model_source=model,
        installed=installation(data_files(data or (), [read_spec(place).task.name.partition(":")[0]])),
        statistics=means.statistics(stats_text),
    )
    if as_json:
        output.json_line({"run": place.name, "edits": edits, "folder": folder.absolute(), "changed": changed})
        return
    parameters = "1 parameter" if len(changed) == 1 else f"{len(changed)} parameters"
    output.note(f"{place.name} after {edits} edits; the editor wrote {parameters}.")
    output.line(str(folder.absolute()))
