"""The options about this machine and about where data lie, which several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from palimpsest.harness.placement import Placement

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
StatsTextOption = Annotated[
    Path | None,
    typer.Option(
        "--stats-text",
        metavar="PATH",
        help="Text file for key statistics in place of the model's own, or a folder of ROME-style .npz statistics.",
        rich_help_panel=DATA,
    ),
]


def placement(device: str, device_map: str | None, *, offload: bool, engine: str = "hf") -> Placement:
    """The flags as a checked `Placement`.

    Raises:
        UsageError: A value that does not exist.
        MissingResource: There is no such GPU.
    """
    from palimpsest.harness.placement import Placement

    found = Placement(device=device, device_map=device_map, offload=offload, engine=engine)
    found.check()
    return found
