"""`palimpsest tune`: the one procedure by which presets are chosen, with the same budget for every editor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

import palimpsest.editors
from palimpsest.cli import means, options
from palimpsest.cli.carry_out import asked, memory_of
from palimpsest.cli.known_facts import known_part
from palimpsest.cli.locating import proposal
from palimpsest.cli.pool import at_once
from palimpsest.cli.ray_pool import place_of_work, ray_address
from palimpsest.cli.ticket_kinds import TrialTicket
from palimpsest.cli.tuning import protocol
from palimpsest.cli.tuning.abilities import AbilityChoice, usual_for
from palimpsest.cli.tuning.axes import Axis, axes_of, read_grids, within
from palimpsest.cli.tuning.bench import Bench, complete_config
from palimpsest.cli.tuning.campaign import Campaign, one_after_another, side_by_side
from palimpsest.cli.tuning.preset_text import file_stem, preset_text
from palimpsest.cli.tuning.record import Tuning, identity_of
from palimpsest.cli.tuning.telling import tell
from palimpsest.cli.wiring import installed_catalog
from palimpsest.harness.errors import ConfigError, UsageError
from palimpsest.harness.fleet.local import slots
from palimpsest.harness.fleet.ticket import versions_here
from palimpsest.harness.model.needs import shape_of
from palimpsest.harness.plugins.compositions import canonical_name
from palimpsest.harness.plugins.configuration import resolve_config
from palimpsest.harness.specs.composition import parse, spell
from palimpsest.harness.specs.model_entry import ModelEntry
from palimpsest.harness.system.atomic_files import atomic_write_text
from palimpsest.tasks.known import marked
from palimpsest.tasks.registry import data_files

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True)
class _Editor:
    """One editor that is to be tuned."""

    name: str
    """Complete."""
    axes: list[Axis]
    folder: Path
    """Folder of its preset and record."""


@app.command(
    epilog='Examples:\n\npalimpsest tune memit\n\npalimpsest tune "revive(memit)"\n\n'
    "palimpsest tune --all --on local:2\n\n"
    "palimpsest tune --all --on ray --home /shared/palimpsest\n\n"
    "palimpsest tune my-editor --grid grid.toml --out presets\n\nMore: docs/tuning.md"
)
def tune(
    editor: Annotated[
        str | None,
        typer.Argument(help="An editor of `palimpsest list editors`, or a filter around one.", metavar="[EDITOR]"),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every editor that has a grid, hosts before their filters.")
    ] = False,
    model: Annotated[str, typer.Option("--model", help="Which model.")] = "pocket-llama",
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            help="The tuning split; never the benchmark itself.",
            show_default="that of the pocket world for pocket models, for others what they know of that of real facts",
        ),
    ] = None,
    grid: Annotated[
        Path | None,
        typer.Option(
            "--grid",
            help="TOML file: a list of values per field; with --all, a table of such lists per editor.",
            show_default="shipped grid",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder for preset and record; with --all, one of each editor's folders.",
            show_default="the editor's shipped presets",
        ),
    ] = None,
    abilities: Annotated[
        list[str] | None,
        typer.Option(
            "--abilities",
            help="Abilities to keep; repeatable.",
            show_default="pocket for pocket models, plain for others",
        ),
    ] = None,
    edits: Annotated[
        int | None,
        typer.Option(
            "--edits",
            parser=options.whole_number,
            metavar="N",
            help="Edits of a whole trial; all of the split where it has fewer.",
            show_default=str(protocol.EDITS),
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials",
            parser=options.whole_number,
            metavar="N",
            help="Whole trials whose edits every editor may make.",
            show_default=str(protocol.BUDGET),
        ),
    ] = None,
    known: options.KnownOption = False,
    data: options.DataOption = None,
    skip_bad_records: options.SkipBadOption = False,
    ability_data: options.AbilityDataOption = None,
    stats_text: options.StatsTextOption = None,
    on: options.OnRayOption = None,
    home: options.HomeOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Search for the best configuration on the tuning split, write it as the preset, record every trial."""
    if everything == (editor is not None):
        raise UsageError("tune: expected the name of one editor, or --all.")
    for option, number in (("--edits", edits), ("--trials", trials)):
        if number is not None and number < 1:
            raise UsageError(f"{option}: expected a whole number of at least 1, got {number}.")
    place_of_work(on)
    address = ray_address(on)
    given = means.checked("cpu", None, offload=False, data=ability_data, text=stats_text)
    ref, entry = installed_catalog(given.installed).model(model)
    known = known or (task is None and not protocol.is_pocket(ref.name))
    wanted = task or protocol.split_of(ref.name)
    home = options.home_folder(home)
    shape, proposed = shape_of(entry), None if grid else proposal.require(home, ref, model)
    editors = _editors(editor, ref.name, grid, out, proposed, None if shape is None else shape.blocks)
    whole = data_files(data or (), [wanted], skip_bad=skip_bad_records).load(wanted)
    means.tell_of_data(whole.origin)
    split = known_part(whole, ref, entry, given, home) if known else whole
    kept = AbilityChoice(given.installed.abilities, tuple(abilities or usual_for(ref.name)))
    horizon = protocol.horizon(len(split.cases), edits)
    identity = identity_of(ref, split, horizon, kept, given.statistics_hash)
    words = [
        *("--model", model),
        *options.repeated("--task", [wanted] if wanted != protocol.POCKET_SPLIT else []),
        *options.repeated("--edits", [edits] if edits is not None else []),
        *options.repeated("--trials", [trials] if trials is not None else []),
        *(["--known"] if known else []),
        *options.repeated("--abilities", [] if kept.usual else kept.names),
        *options.repeated("--data", data),
        *(["--skip-bad-records"] if skip_bad_records else []),
        *options.repeated("--ability-data", ability_data),
        *options.repeated("--stats-text", [stats_text] if stats_text else []),
    ]
    asked_for = {one.name: one for one in editors}

    def begin(name: str, host: Mapping[str, Any] | None) -> Tuning:
        one = asked_for[name]
        if host is None and len(parse(name)) > 1:
            host = resolve_config(spell(parse(name)[1:]), ref.name, {})
        record = one.folder / f"{file_stem(ref.name)}.tuning.json"
        return Tuning(
            name,
            one.axes,
            record,
            budget=protocol.BUDGET if trials is None else trials,
            edits=horizon.edits,
            little=protocol.LITTLE * horizon.edits,
            host=host,
            identity=identity,
        )

    def finish(tuning: Tuning) -> None:
        text = preset_text(tuning.editor, ref.name, split.name, horizon, tuning.settings(), tuning.chosen, words)
        atomic_write_text(tuning.record.with_name(f"{file_stem(ref.name)}.toml"), text)
        tuning.write()  # also where all trials were there: the budget may be another

    campaign = Campaign(list(asked_for), begin, finish)
    first = campaign.opened()
    sent = asked(given, data=data or (), skip_bad=skip_bad_records, ability_data=ability_data or (),
                 stats_text=stats_text)  # fmt: skip

    def ticket_of(tuning: Tuning) -> TrialTicket:
        assert tuning.next is not None
        return TrialTicket(
            home=str(home.absolute()),
            means=sent,
            memory=memory,
            versions=versions_here(),
            editor=tuning.editor,
            model=entry.source or model,
            task=marked(means.absolute_task(wanted), ref.fingerprint) if known else means.absolute_task(wanted),
            config=tuning.next.config,
            host=None if tuning.host is None else dict(tuning.host),
            to_beat=tuning.next.to_beat,
            abilities=kept.names,
            ability_limit=kept.limit,
            edits=horizon.edits,
            batch_size=horizon.batch_size,
            checkpoints=horizon.checkpoints,
        )

    def bench() -> Bench:
        # Late: torch loads in 2 s, which --help and a wrong word need not wait for.
        from palimpsest.harness.runs.loaded_model import load

        loaded = load(entry, home, statistics=given.statistics, texts=given.installed.texts)
        return Bench(loaded, split, kept, horizon)

    memory = _memory(editors, entry, given)
    count = 1 if address else slots(at_once(on), len(campaign.left), 1, memory)
    if first and (address or count > 1):
        side_by_side(campaign, first, ticket_of, count, address)
    else:
        one_after_another(campaign, first, bench)
    tell([campaign.done[name] for name in asked_for], model, ref.name, everything=everything, as_json=as_json)


def _editors(
    name: str | None,
    model: str,
    grid: Path | None,
    out: Path | None,
    blocks: proposal.Proposal | None,
    count: int | None,
) -> list[_Editor]:
    """The editors to be tuned with their axes, checked before a model is loaded; no name: all that have a grid.

    Raises:
        ConfigError: A grid that is none, or with values that the editor does not take; lists each once, with the file.
    """
    shipped = Path(str(palimpsest.editors.__file__)).parent / "presets"
    file = grid or shipped / "grids.toml"
    table = read_grids(file)
    found: list[_Editor] = []
    problems: dict[str, None] = {}
    for one, own in _grids(table, name, whole=grid is not None).items():
        outermost = parse(one)[0]  # only its own fields are varied and kept; its host has the host's preset
        if not isinstance(own, dict):
            raise ConfigError(
                f"{file}: no grid for {outermost!r}. Give one with --grid FILE (a list of values per field)."
            )
        where = str(file) if own is table else f"{file}, {outermost}"
        axes = axes_of(own if blocks is None else proposal.with_blocks(own, blocks), where, _now(one, model))
        axes = within(axes, count)
        problems |= dict.fromkeys(f"{file}: {line}" for line in _misfits(one, model, axes))
        base = shipped if out is None else out
        found.append(_Editor(one, axes, base if out is not None and name is not None else base / outermost))
    if problems:
        raise ConfigError("\n".join(problems))
    for editor in found:
        editor.folder.mkdir(parents=True, exist_ok=True)
    return found


def _grids(table: dict[str, Any], name: str | None, *, whole: bool) -> dict[str, Any]:
    """Complete name → grid, if there is one.

    Args:
        table: Of the file.
        name: The editor; None: all that the file has tables for.
        whole: The whole table is the grid of the one editor.
    """
    if name is None:
        return {canonical_name(one): own for one, own in table.items()}
    one = canonical_name(name)
    return {one: table if whole else table.get(parse(one)[0])}


def _now(editor: str, model: str) -> dict[str, Any]:
    """The editor's configuration without tuning; empty where it has none."""
    try:
        return resolve_config(editor, model, {})
    except ConfigError:
        return {}


def _start(axes: Sequence[Axis]) -> dict[str, Any]:
    return {axis.name: axis.value(axis.published) for axis in axes}


def _misfits(editor: str, model: str, axes: Sequence[Axis]) -> list[str]:
    """Messages about listed values that the editor does not take."""
    problems: list[str] = []
    for axis in axes:
        for value in axis.values:
            try:
                complete_config(editor, model, {**_start(axes), axis.name: value}, None)
            except ConfigError as error:
                problems += str(error).splitlines()
    return problems


def _memory(editors: Sequence[_Editor], entry: ModelEntry, given: means.Means) -> int:
    """Bytes that the largest of the editors needs."""
    configs = [complete_config(one.name, entry.name, _start(one.axes), None) for one in editors]
    return max(memory_of(entry, config, given.placement) for config in configs)
