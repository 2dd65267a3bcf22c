"""`palimpsest tune`: the one procedure by which presets are chosen, with the same budget for every editor."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import palimpsest.editors
from palimpsest.cli import means, options, output
from palimpsest.cli.carry_out import absolute_task, asked, memory_of
from palimpsest.cli.pool import at_once, dispatch
from palimpsest.cli.preset_text import preset_text
from palimpsest.cli.ticket_kinds import TrialTicket
from palimpsest.cli.trial_record import Tuning
from palimpsest.cli.trial_record import tune as run_tuning
from palimpsest.cli.wiring import installed_catalog
from palimpsest.harness.authoring import tuning
from palimpsest.harness.authoring.tuning import (
    USUAL,
    AbilityChoice,
    Trial,
    best,
    configurations,
)
from palimpsest.harness.errors import ConfigError, RunFailed
from palimpsest.harness.fleet.local import slots
from palimpsest.harness.fleet.ticket import versions_here
from palimpsest.harness.plugins.compositions import canonical_name
from palimpsest.harness.plugins.configuration import resolve_config, without_host
from palimpsest.harness.specs.cases import EditTask
from palimpsest.harness.specs.composition import parse
from palimpsest.harness.specs.model_entry import ModelEntry
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
    on: options.OnOption = None,
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Try every configuration of a small grid on the tuning split, write the best as the preset, record all."""
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
    ref, entry = installed_catalog(given.installed).model(model)
    kept = AbilityChoice(given.installed.abilities, tuple(abilities or USUAL))
    study = Tuning(editor, ref, edits, values, folder / f"{model}.tuning.json", kept, given.statistics_hash)
    for trial in study.trials:
        _tell(study, trial)
    memory = memory_of(entry, resolve_config(editor, model, {}), given.placement)
    count = slots(at_once(on), len(study.left), 1, memory)
    if count > 1:
        sent = asked(given, data=data or (), skip_bad=skip_bad_records, ability_data=ability_data or (),
                     stats_text=stats_text)  # fmt: skip
        tickets = [
            TrialTicket(
                home=str(options.home_folder(home).absolute()),
                means=sent,
                versions=versions_here(),
                editor=editor,
                model=entry.source or model,
                task=absolute_task(task),
                config=config,
                abilities=kept.names,
                ability_limit=kept.limit,
                edits=tuning.EDITS,
                batch_size=tuning.BATCH_SIZE,
            )
            for config in study.left
        ]
        _several_at_once(tickets, count, study)
    else:
        _one_after_another(study, entry, edits, editor, kept, given, options.home_folder(home))
    trials = study.trials
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


def _one_after_another(
    study: Tuning,
    entry: ModelEntry,
    task: EditTask,
    editor: str,
    abilities: AbilityChoice,
    given: means.Means,
    home: Path,
) -> None:
    """Do the trials that are left in this process; they share the loaded model."""
    # Late: torch loads in 2 s, which --help and a wrong word need not wait for.
    from palimpsest.harness.runs.loaded_model import load

    loaded = load(entry, home, statistics=given.statistics, texts=given.installed.texts)
    run_tuning(study, loaded, task, editor, lambda trial: _tell(study, trial), abilities=abilities)


def _several_at_once(tickets: Sequence[TrialTicket], count: int, study: Tuning) -> None:
    """Do each trial that is left in a process of its own, ``count`` at once.

    Raises:
        RunFailed: A trial could not be done; the others are recorded.
        typer.Exit: A signal came.
    """
    configs = {ticket.name: ticket.config for ticket in tickets}

    def tell(name: str, event: Mapping[str, Any]) -> None:
        if event["event"] == "trial":
            trial = Trial(**event["trial"])
            study.add(trial)
            _tell(study, trial)
        if event["event"] == "warning":
            output.note(f"trial {configs[name]}: {event['message']}")

    output.note(f"{len(tickets)} trials, {count} at once")
    ends = dispatch(tickets, count, tell=tell)
    stopped = next((end.code for end in ends.values() if end.verdict in ("stopped", "not begun")), None)
    if stopped is not None:
        output.note(f"{len(study.trials)} trials are recorded; the same command does those that are left.")
        raise typer.Exit(stopped)
    if study.left:
        reasons = [f"trial {configs[name]}: {end.reason}" for name, end in ends.items() if end.verdict != "done"]
        raise RunFailed("\n".join([*reasons, "The same command tries again what is left."]))


def _tell(study: Tuning, trial: Trial) -> None:
    failure = f" ({trial.failure})" if trial.failure else ""
    output.note(
        f"trial {study.number(trial)}: {trial.config} → score {trial.score_argmax:.1f}, "
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
