"""The options about this machine and about where data lie, which several verbs share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from palimpsest.cli import output
from palimpsest.harness.errors import UsageError

if TYPE_CHECKING:
    from palimpsest.harness.model.placement import Placement
    from palimpsest.harness.runs.installation import Installation
    from palimpsest.harness.specs.planning import PlannedRun
    from palimpsest.harness.statistics.texts import StatisticsSource
    from palimpsest.tasks.registry import DataFiles

MACHINE, DATA = "Machine", "Data"

DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="DEVICE",
        envvar="PALIMPSEST_DEVICE",
        help="cpu, cuda or cuda:N.",
        rich_help_panel=MACHINE,
    ),
]
DeviceMapOption = Annotated[
    str | None,
    typer.Option("--device-map", metavar="auto", help="Spread the model over all GPUs.", rich_help_panel=MACHINE),
]
OffloadOption = Annotated[
    bool,
    typer.Option("--offload", help="Keep statistics and the solves with them on the CPU.", rich_help_panel=MACHINE),
]
EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="NAME",
        envvar="PALIMPSEST_ENGINE",
        help="Who answers ability tasks: hf (in memory) or vllm.",
        rich_help_panel=MACHINE,
    ),
]
AbilityDataOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--ability-data",
        metavar="DIR",
        help="Folder with the items of the papers' ability tasks, in place of the hub's; repeatable.",
        rich_help_panel=DATA,
    ),
]
DataOption = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="FILE|TASK=FILE",
        help="File of the edit task's records, in place of the hub's: JSON, JSON lines, .gz or Parquet; repeatable.",
        rich_help_panel=DATA,
    ),
]
SkipBadOption = Annotated[
    bool,
    typer.Option(
        "--skip-bad-records", help="Leave bad records out, and count them, instead of stopping.", rich_help_panel=DATA
    ),
]
StatsTextOption = Annotated[
    Path | None,
    typer.Option(
        "--stats-text",
        metavar="PATH",
        help="Text file for key statistics in place of the model's own, or a folder of ROME-style .npz statistics.",
        rich_help_panel=DATA,
    ),
]


@dataclass(frozen=True, slots=True)
class Means:
    """With what runs are done, from the options above."""

    placement: Placement
    installed: Installation
    statistics: str | None
    """Source of key statistics, as `palimpsest.harness.runs.loaded_model.load` takes it; None: each model's own."""
    statistics_hash: str | None
    """What identifies that source in a spec."""


def means(
    device: str,
    device_map: str | None,
    *,
    offload: bool,
    engine: str = "hf",
    data: Sequence[Path] | None = None,
    text: Path | None = None,
    files: DataFiles | None = None,
) -> Means:
    """The options as checked values.

    Args:
        device: Where models go.
        device_map: ``auto``, or None.
        offload: Whether statistics stay on the CPU.
        engine: Who answers ability tasks.
        data: Folders with items of ability tasks.
        text: Text of key statistics in place of each model's own.
        files: Local files for tasks whose data do not ship.

    Raises:
        UsageError: A value that does not exist, or a file or folder that is not there.
        ConfigError: A statistics file that cannot be read.
        MissingResource: There is no such GPU.
    """
    from palimpsest.cli.wiring import installation
    from palimpsest.harness.model.placement import Placement

    placement = Placement(device=device, device_map=device_map, offload=offload, engine=engine)
    placement.check()
    missing = [folder for folder in data or () if not folder.is_dir()]
    if missing:
        raise UsageError(f"--ability-data {missing[0]}: no such folder.")
    given = statistics(text)
    source, digest = (None, None) if given is None else given
    return Means(placement, installation(files, data or ()), source, digest)


def statistics(text: Path | None) -> StatisticsSource | None:
    """What ``--stats-text`` names; raises as `means`."""
    from palimpsest.tasks.statistics_texts import statistics_source

    return None if text is None else statistics_source(text)


def tell_of_data(planned: Sequence[PlannedRun]) -> None:
    """Say what was found in data that do not ship: what is left out, and what contradicts itself."""
    for note in dict.fromkeys(note for run in planned if run.task.origin for note in run.task.origin.notes):
        output.note(note)
