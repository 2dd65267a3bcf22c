"""`palimpsest pocket`: train the pocket models, measure what they know, write the files made from the world."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from palimpsest.cli import options, output
from palimpsest.cli.many_runs import STOPPED
from palimpsest.harness.errors import unknown_name
from palimpsest.harness.model.catalogue import fingerprint, locate, resolve
from palimpsest.harness.system.interrupts import Interrupts, Stopped
from palimpsest.tasks.pocket.report import as_markdown, full_report
from palimpsest.tasks.pocket.world import build_world

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Make and measure the pocket models.")

ModelArgument = Annotated[str, typer.Argument(help="pocket-llama or pocket-gpt2.", metavar="MODEL")]


@app.command(
    epilog="Examples:\n\npalimpsest pocket train pocket-llama\n\n"
    "palimpsest pocket train pocket-gpt2 --out /tmp/model\n\n"
    "More: docs/pocket-world.md"
)
def train(
    model: ModelArgument = "pocket-llama",
    out: Annotated[
        Path | None, typer.Option("--out", help="Where the model goes.", show_default="the shipped model's folder")
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Fewer or more steps than the recipe.")] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads.")] = None,
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> None:
    """Train a pocket model from the seed of the world; the same command goes on after an interruption."""
    options.writable_folder(out, "--out")
    # Late: torch and transformers load in 5 s, which --help and a wrong word need not wait for.
    import torch

    from palimpsest.tasks.pocket.publish import model_folder, train_and_publish
    from palimpsest.tasks.pocket.train import RECIPES

    if model not in RECIPES:
        raise unknown_name("Pocket model", model, RECIPES, "palimpsest pocket train --help")
    recipe = RECIPES[model] if steps is None else replace(RECIPES[model], steps=steps)
    folder = out or model_folder(model)
    work = options.home_folder(home) / "pocket" / model
    # The padding is to the right and has no loss, so the mask that transformers asks for changes nothing.
    logging.getLogger("transformers.modeling_utils").setLevel(logging.ERROR)
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with Interrupts() as interrupts, _progress(f"Training {model}", recipe.steps, quiet=quiet) as show:
            lines = train_and_publish(recipe, work, folder, show, interrupts)
    except Stopped as stop:
        word = str(stop.word)
        output.note(f"Training {model} was {word}; what was trained is in {work}. Go on with the same command.")
        raise typer.Exit(STOPPED[word]) from None
    if as_json:
        output.json_line({"model": model, "folder": folder, "report": lines})
        return
    output.table(
        ["what", "asked", "right %", "chance %"], [(line.name, line.asked, line.percent, line.chance) for line in lines]
    )
    output.line(f"Model: {folder}")


@app.command(epilog="Example:\n\npalimpsest pocket report pocket-llama\n\nMore: docs/pocket-world.md")
def report(
    model: ModelArgument = "pocket-llama",
    as_json: options.JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
) -> None:
    """Measure what a pocket model knows and can do."""
    # Late: torch loads in 2 s, which --help and a wrong word need not wait for.
    from palimpsest.harness.model.loading import load_model

    entry = resolve(model)
    loaded = load_model(str(locate(entry)), name=entry.name, known_fingerprint=fingerprint(entry))
    lines = full_report(loaded, build_world())
    if as_json:
        output.json_line(lines)
    elif markdown:
        for text in as_markdown(lines).splitlines():
            output.line(text)
    else:
        rows = [(line.name, line.asked, line.percent, line.chance) for line in lines]
        output.table(["what", "asked", "right %", "chance %"], rows)


@app.command(epilog="Example:\n\npalimpsest pocket files /tmp/world\n\nMore: docs/pocket-world.md")
def files(
    folder: Annotated[Path, typer.Argument(help="Where the files go.", metavar="FOLDER")],
) -> None:
    """Write the world out: edit tasks as JSON lines, ability tasks for lm-eval, training and statistics text."""
    # Late: it loads torch and transformers, as training does.
    from palimpsest.tasks.pocket.publish import write_world_files

    for path in write_world_files(folder):
        output.line(str(path))


@contextmanager
def _progress(title: str, steps: int, *, quiet: bool) -> Iterator[Callable[[int, float], None]]:
    """Called with (steps done, loss): a bar with rate and remaining time on a terminal, else a line every minute."""
    if quiet:
        yield lambda step, loss: None
        return
    if not sys.stderr.isatty():
        last, begin = [0.0], [0.0, 0.0]

        def plain(step: int, loss: float) -> None:
            now = time.monotonic()
            if not begin[0]:
                begin[:] = now, step
            if now - last[0] >= 60 or step == steps:
                last[0] = now
                pace = (now - begin[0]) / (step - begin[1]) if step > begin[1] else 0.0
                left = f", {pace:.2f} s a step, {(steps - step) * pace / 60:.1f} min left" if pace else ""
                output.note(f"{title}: step {step} of {steps}, loss {loss:.3f}{left}")

        yield plain
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
               TextColumn("{task.fields[loss]}"), TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=steps, loss="")
        yield lambda step, loss: bar.update(task, completed=step, loss=f"loss {loss:.3f}")
