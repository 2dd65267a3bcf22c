"""`palimpsest tune`: the one procedure by which presets are chosen, with the same budget for every editor."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from palimpsest.cli import options, output

TASK = "pocket-counterfact-tuning"
app = typer.Typer(add_completion=False)


@app.command(
    epilog='Examples:\n\npalimpsest tune memit\n\npalimpsest tune "revive(memit)"\n\n'
    "palimpsest tune my-editor --grid grid.toml --out presets\n\nMore: docs/tuning.md"
)
def tune(
    editor: Annotated[
        str, typer.Argument(help="An editor of `palimpsest list editors`, or a filter around one.", metavar="EDITOR")
    ],
    model: Annotated[str, typer.Option("--model", help="Which model.")] = "pocket-llama",
    task: Annotated[str, typer.Option("--task", help="The tuning split; never the benchmark itself.")] = TASK,
    grid: Annotated[
        Path | None, typer.Option("--grid", help="TOML file: a list of values per field.", show_default="shipped grid")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for preset and record.", show_default="the editor's shipped presets"),
    ] = None,
    abilities: Annotated[
        list[str] | None,
        typer.Option("--abilities", help="Abilities to keep; repeatable.", show_default="pocket"),
    ] = None,
    data: options.DataOption = None,
    skip_bad_records: options.SkipBadOption = False,
    ability_data: options.AbilityDataOption = None,
    stats_text: options.StatsTextOption = None,
    home: output.HomeOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Try every configuration of a small grid on the tuning split, write the best as the preset, record all trials."""
    from palimpsest.harness.authoring.tuning import USUAL, AbilityChoice, best, preset_text
    from palimpsest.harness.authoring.tuning import tune as run_tuning
    from palimpsest.harness.model.catalogue import fingerprint, resolve
    from palimpsest.harness.plugins.compositions import canonical_name
    from palimpsest.harness.plugins.configuration import resolve_config, without_host
    from palimpsest.harness.runs.loaded_model import load
    from palimpsest.harness.specs.composition import parse
    from palimpsest.harness.system.atomic_files import atomic_write_text
    from palimpsest.tasks.registry import data_files

    editor = canonical_name(editor)
    outermost = parse(editor)[0]  # only its own fields are varied and kept; its host has the host's preset
    values = _grid(grid or _presets() / "grids.toml", outermost, own=grid is not None)
    folder = out or _presets() / outermost
    folder.mkdir(parents=True, exist_ok=True)
    means = options.means("cpu", None, offload=False, data=ability_data, text=stats_text)
    edits = data_files(data or (), [task], skip_bad=skip_bad_records).load(task)
    for note in edits.origin.notes if edits.origin else ():
        output.note(note)
    loaded = load(
        model,
        fingerprint(resolve(model)),
        output.home_folder(home),
        statistics=means.statistics,
        texts=means.installed.texts,
    )
    trials = run_tuning(
        loaded,
        edits,
        editor,
        values,
        folder / f"{model}.tuning.json",
        lambda number, trial: output.note(
            f"trial {number}: {trial.config} → score {trial.score_argmax:.1f}, abilities kept "
            f"{trial.abilities_kept:.1f} %, objective {trial.objective:.4f}, {trial.seconds:.0f} s"
            + (f" ({trial.failure})" if trial.failure else "")
        ),
        abilities=AbilityChoice(means.installed.abilities, tuple(abilities or USUAL)),
        statistics=means.statistics_hash,
    )
    winner = best(trials)
    given = [*_repeated("--task", [task] if task != TASK else []), *_repeated("--abilities", abilities)]
    given += [*_repeated("--data", data), *(["--skip-bad-records"] if skip_bad_records else [])]
    given += [
        *_repeated("--ability-data", ability_data),
        *_repeated("--stats-text", [stats_text] if stats_text else []),
    ]
    settings, _ = without_host(editor, resolve_config(editor, model, winner.config))
    atomic_write_text(folder / f"{model}.toml", preset_text(editor, model, edits.name, settings, winner, given))
    if as_json:
        output.json_line({"editor": editor, "model": model, "best": winner, "trials": trials})
        return
    output.line(f"Best of {len(trials)}: {winner.config} (objective {winner.objective:.4f})")
    output.line(f"Preset: {folder / f'{model}.toml'}")


def _repeated(flag: str, values: Sequence[object] | None) -> list[str]:
    """The flag with each of its values."""
    return [word for value in values or () for word in (flag, str(value))]


def _presets() -> Path:
    import palimpsest.editors

    return Path(str(palimpsest.editors.__file__)).parent / "presets"


def _grid(path: Path, editor: str, *, own: bool) -> dict[str, list[Any]]:
    """The editor's table in the shipped grids, or the whole of a file of one's own."""
    from palimpsest.harness.errors import ConfigError

    try:
        table: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML ({error}).") from None
    table = table if own else table.get(editor)
    if table is None:
        raise ConfigError(f"{path}: no grid for {editor!r}. Give one with --grid FILE (a list of values per field).")
    wrong = [f"{path}, {name}: expected a list of values, got {value!r}." for name, value in table.items()
             if not isinstance(value, list) or not value]  # fmt: skip
    if wrong:
        raise ConfigError("\n".join(wrong))
    return dict(table)
