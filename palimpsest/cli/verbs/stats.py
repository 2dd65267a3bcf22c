"""`palimpsest stats`: the key statistics that editors need, made before a run and kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from palimpsest.cli import means, options, output
from palimpsest.harness.errors import ConfigError, UsageError
from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.plugins.configuration import resolve_config

if TYPE_CHECKING:
    from palimpsest.harness.runs.loaded_model import LoadedModel

app = typer.Typer(add_completion=False)

DEFAULT_TOKENS = 100_000
"""As the editors' configurations have it without a preset."""


@app.command(
    epilog="Examples:\n\npalimpsest stats pocket-llama\n\n"
    "palimpsest stats llama3-8b --tokens 1000000 --device cuda\n\n"
    "palimpsest stats llama3-8b --stats-text corpus.txt --layers 4,5,6,7,8\n\n"
    "The same command continues what was interrupted. More: docs/models.md"
)
def stats(
    model: Annotated[str, typer.Argument(help="Name, folder or hub id.", metavar="MODEL")],
    layers: Annotated[
        str | None,
        typer.Option("--layers", metavar="N,N,…", help="Blocks; without it, those that the papers edit, or all."),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option(
            "--tokens",
            parser=options.whole_number,
            metavar="N",
            help="How many tokens of the text to read, at most; without it, what MEMIT's preset says.",
        ),
    ] = None,
    stats_text: options.StatsTextOption = None,
    device: options.DeviceOption = "cpu",
    device_map: options.DeviceMapOption = None,
    offload: options.OffloadOption = False,
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """Collect key statistics of a model in one pass over a text; skip what is there, continue what is partial."""
    # Late: torch loads in 2 s, which --help and a wrong word need not wait for.
    from palimpsest.harness.runs.loaded_model import load

    if tokens is not None and tokens < 1:
        raise UsageError(f"--tokens: expected a whole number of at least 1, got {tokens}.")
    wanted = None if layers is None else sorted(set(options.whole_numbers(layers, "--layers", "4,5,6")))
    given = means.checked(device, device_map, offload=offload, text=stats_text)
    entry = resolve(model)
    loaded = load(
        entry,
        options.home_folder(home),
        placement=given.placement,
        statistics=given.statistics,
        texts=given.installed.texts,
    )
    chosen = wanted or entry.layers or tuple(range(loaded.model.anatomy.n_layers))
    wrong = [layer for layer in chosen if layer >= loaded.model.anatomy.n_layers]
    if wrong:
        raise UsageError(f"--layers: {entry.name} has blocks 0 to {loaded.model.anatomy.n_layers - 1}, got {wrong[0]}.")
    found = collect(loaded, chosen, tokens or usual_tokens(entry.name), quiet=quiet)
    if as_json:
        output.json_line(found)
        return
    output.line(
        f"{entry.name}: statistics of layers {', '.join(map(str, chosen))} from {found['tokens']} tokens of "
        f"{found['name']}, {str(found['texts_hash'])[:12]}, in {found['folder']}"
    )


def collect(loaded: LoadedModel, layers: Sequence[int], tokens: int, *, quiet: bool = False) -> dict[str, Any]:
    """Make or find the statistics and say what they rest on."""
    resources, last = loaded.resources, [0]

    def tell(done: int, total: int) -> None:
        share = 20 * done // total
        if share > last[0] and not quiet:
            output.note(f"{done} of {total} tokens read ({5 * share} %)")
        last[0] = share

    resources.progress = tell
    resources.second_moments(layers, tokens)
    resources.progress = None
    for message in resources.damaged:
        output.note(message)
    return {**(resources.used or {}), "layers": list(layers), "folder": str(resources.folder)}


def usual_tokens(model: str) -> int:
    """Number of tokens that the editors ask for by MEMIT's preset for the model, or without one."""
    try:
        return int(resolve_config("memit", model, {})["statistics_tokens"])
    except ConfigError:
        return DEFAULT_TOKENS
