"""`palimpsest tune`: the one procedure by which presets are chosen, with the same budget for every editor."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

import palimpsest.editors
from palimpsest.cli import means, options, output
from palimpsest.harness.authoring.tuning import USUAL, AbilityChoice, Trial, best, configurations, preset_text
from palimpsest.harness.authoring.tuning import tune as run_tuning
from palimpsest.harness.errors import ConfigError
from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.plugins.compositions import canonical_name
from palimpsest.harness.plugins.configuration import resolve_config, without_host
from palimpsest.harness.specs.composition import parse
from palimpsest.harness.system.atomic_files import atomic_write_text
from palimpsest.tasks.registry import data_files

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
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Try every configuration of a small grid on the tuning split, write the best as the preset, record all."""
    # Late: torch loads in 2 s, which --help and a wrong word need not wait for.
    from palimpsest.harness.runs.loaded_model import load

    editor = canonical_name(editor)
    outermost = parse(editor)[0]  # only its own fields are varied and kept; its host has the host's preset
    file = grid or _presets() / "grids.toml"
    values = _grid(file, outermost, own=grid is not None)
    _require_fitting(values, file, editor, model)
    folder = out or _presets() / outermost
    folder.mkdir(parents=True, exist_ok=True)
    given = means.checked("cpu", None, offload=False, data=ability_data, text=stats_text)
    edits = data_files(data or (), [task], skip_bad=skip_bad_records).load(task)
    for note in edits.origin.notes if edits.origin else ():
        output.note(note)
    loaded = load(
        resolve(model),
        options.home_folder(home),
        statistics=given.statistics,
        texts=given.installed.texts,
    )
    kept = AbilityChoice(given.installed.abilities, tuple(abilities or USUAL))
    record = folder / f"{model}.tuning.json"
    statistics = given.statistics_hash
    trials = run_tuning(loaded, edits, editor, values, record, _tell, abilities=kept, statistics=statistics)
    winner = best(trials)
    words = [
        *options.repeated("--task", [task] if task != TASK else []),
        *options.repeated("--abilities", abilities),
        *options.repeated("--data", data),
        *(["--skip-bad-records"] if skip_bad_records else []),
        *options.repeated("--ability-data", ability_data),
        *options.repeated("--stats-text", [stats_text] if stats_text else []),
    ]
    settings, _ = without_host(editor, resolve_config(editor, model, winner.config))
    preset = folder / f"{model}.toml"
    atomic_write_text(preset, preset_text(editor, model, edits.name, settings, winner, words))
    if as_json:
        output.json_line({"editor": editor, "model": model, "best": winner, "trials": trials})
        return
    output.line(f"Best of {len(trials)}: {winner.config} (objective {winner.objective:.4f})")
    output.line(f"Preset: {preset}")


def _tell(number: int, trial: Trial) -> None:
    failure = f" ({trial.failure})" if trial.failure else ""
    output.note(
        f"trial {number}: {trial.config} → score {trial.score_argmax:.1f}, "
        f"abilities kept {trial.abilities_kept:.1f} %, objective {trial.objective:.4f}, {trial.seconds:.0f} s{failure}"
    )


def _require_fitting(values: dict[str, list[Any]], file: Path, editor: str, model: str) -> None:
    """Refuse values that the editor's configuration does not take, before a model is loaded.

    Raises:
        ConfigError: Lists each once, with the file.
    """
    problems: dict[str, None] = {}
    for trial in configurations(values):
        try:
            resolve_config(editor, model, trial)
        except ConfigError as error:
            problems |= dict.fromkeys(f"{file}: {line}" for line in str(error).splitlines())
    if problems:
        raise ConfigError("\n".join(problems))


def _presets() -> Path:
    return Path(str(palimpsest.editors.__file__)).parent / "presets"


def _grid(path: Path, editor: str, *, own: bool) -> dict[str, list[Any]]:
    """The editor's table in the shipped grids, or the whole of a file of one's own."""
    try:
        table: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML ({error}).") from None
    table = table if own else table.get(editor)
    if table is None:
        raise ConfigError(f"{path}: no grid for {editor!r}. Give one with --grid FILE (a list of values per field).")
    wrong = [f"{path}, {name}: expected a list of values, got {value!r}." for name, value in table.items()
             if not isinstance(value, list) or not value]  # fmt: skip
    if wrong:
        raise ConfigError("\n".join(wrong))
    return dict(table)
