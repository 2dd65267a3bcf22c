"""`palimpsest presets`: hyperparameter files of other code as presets."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated

import typer

from palimpsest.cli import foreign_hparams, options, output
from palimpsest.harness.errors import MissingResource, UsageError
from palimpsest.harness.system.atomic_files import atomic_write_bytes

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Bring in hyperparameters of other code.")
_NAME = re.compile(r"\w[\w.-]*")


@app.callback()
def _presets() -> None:
    """Bring in hyperparameters of other code."""


@app.command(
    "import",
    epilog="Examples:\n\npalimpsest presets import hparams/AlphaEdit/Llama3-8B.json\n\n"
    "palimpsest presets import gpt2-xl.yaml --editor memit --model gpt2-xl --out presets\n\nMore: docs/command-line.md",
)
def bring_in(
    file: Annotated[
        Path, typer.Argument(help="JSON or YAML, of ROME, MEMIT, AlphaEdit, NSE or EasyEdit.", metavar="FILE")
    ],
    editor: Annotated[
        str | None,
        typer.Option("--editor", help="Whose they are.", metavar="NAME", show_default="by the file's fields"),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="For which model.", metavar="NAME", show_default="its model_name")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder of presets; one of the editor's name is in it.", metavar="DIR")
    ] = Path("presets"),
    as_json: options.JsonOption = False,
) -> None:
    """Write a file of hyperparameters as a preset, and say of every field what became of it."""
    if model is not None and not _NAME.fullmatch(model):
        raise UsageError(f"--model {output.clean(model)}: expected a name for a file, as llama3-8b.")
    found = foreign_hparams.imported(foreign_hparams.read(file), editor, model)
    path = out / found.editor / f"{found.model}.toml"
    _write(path, found.text(file.name).encode())
    if as_json:
        output.json_line(
            {"file": file, "preset": path, "editor": found.editor, "model": found.model, "values": dict(found.values),
             "sources": dict(found.sources), "unused": dict(found.unused)}
        )  # fmt: skip
        return
    for field, value in found.values.items():
        output.note(f"{found.sources[field]} is {field} = {value}")
    for field, why in found.unused.items():
        output.note(f"{field} is not used: {why}")
    output.line(str(path))
    words = ["--editor", found.editor, "--model", found.model, "--preset", f"{found.editor}={path}"]
    output.note(f"Use it with: palimpsest run {shlex.join(words)} …")


def _write(path: Path, data: bytes) -> None:
    """Write a preset; another one that is there already stays.

    Raises:
        UsageError: There is another.
        MissingResource: The file cannot be written.
    """
    try:
        if path.is_file() and path.read_bytes() != data:
            raise UsageError(
                f"{path} is there already, with other values. Remove it, or choose another place with --out."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_bytes(path, data)
    except OSError as error:
        raise MissingResource(
            f"{path} cannot be written: {error.strerror}. Choose another place with --out."
        ) from error
