"""`palimpsest probe-spectrum`: a model's abilities with only the leading singular components of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from palimpsest.cli import options, output
from palimpsest.cli.wiring import installation
from palimpsest.harness.errors import UsageError
from palimpsest.harness.model.catalogue import resolve

app = typer.Typer(add_completion=False)


@app.command(
    name="probe-spectrum",
    epilog="Examples:\n\npalimpsest probe-spectrum pocket-llama\n\n"
    "palimpsest probe-spectrum pocket-llama --layers 0,1 --percent 5,10 --json\n\nMore: docs/command-line.md",
)
def probe_spectrum(
    model: Annotated[str, typer.Argument(help="Name, folder or hub id.", metavar="MODEL")],
    layers: Annotated[
        str, typer.Option("--layers", metavar="N,N,…", help="Blocks whose down-projection is truncated; default all.")
    ] = "all",
    abilities: Annotated[
        list[str] | None,
        typer.Option("--abilities", help="Ability task or group; repeatable; default pocket."),
    ] = None,
    ability_limit: Annotated[
        int | None,
        typer.Option(
            "--ability-limit",
            parser=options.whole_number,
            metavar="N",
            help="At most this many items per ability task.",
        ),
    ] = None,
    percent: Annotated[
        str, typer.Option("--percent", metavar="P,P,…", help="Shares of the singular components that are left.")
    ] = "1,2,5,10,25,50",
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """Measure a model's abilities with only the largest singular components of its down-projections."""
    shares = percents(percent)
    chosen = None if layers == "all" else sorted(set(options.whole_numbers(layers, "--layers", "0,2, or all")))
    # Late: torch loads in 2 s, which --help and a wrong word need not wait for.
    from palimpsest.cli.truncation import probe
    from palimpsest.harness.runs.loaded_model import load

    installed = installation()
    refs = installed.abilities.refs(abilities or ["pocket"], ability_limit)
    loaded = load(resolve(model), options.home_folder(home), texts=installed.texts)
    blocks = _blocks(chosen, loaded.model.anatomy.n_layers, model)
    harness = loaded.abilities(refs, installed.abilities)
    if harness is None:
        raise UsageError("--abilities: name at least one ability task.")
    found = []
    for point in probe(loaded.model, blocks, shares, harness.evaluate):
        found.append(point)
        if not quiet:
            output.note(f"{point.percent:g} %: done")
    if as_json:
        output.json_line({"model": loaded.model.name, "layers": blocks, "points": found})
        return
    names = list(found[0].scores)
    rows = [[f"{p.percent:g}", p.components, *(p.scores[name] for name in names), p.kept] for p in found]
    output.table(["%", "components", *names, "kept"], rows)


def percents(text: str) -> list[float]:
    """``1,2.5,50`` as numbers.

    Raises:
        UsageError: Something between the commas is no number above 0 and below 100.
    """
    values = []
    for part in (part.strip() for part in text.split(",")):
        try:
            value = float(part)
        except ValueError:
            value = 0.0
        if not 0 < value < 100:
            raise UsageError(f'--percent: expected numbers above 0 and below 100, like 1,5,25; got "{part}".')
        values.append(value)
    return sorted(set(values))


def _blocks(chosen: Sequence[int] | None, there: int, model: str) -> list[int]:
    beyond = [layer for layer in chosen or () if layer >= there]
    if beyond:
        raise UsageError(f"--layers: {model} has blocks 0 to {there - 1}, got {beyond[0]}.")
    return list(range(there)) if chosen is None else list(chosen)
