"""With what runs are done: the options about this machine and about where data lie, as checked values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from palimpsest.cli import output
from palimpsest.cli.wiring import installation
from palimpsest.harness.errors import UsageError
from palimpsest.harness.model.placement import Placement
from palimpsest.harness.runs.installation import Installation
from palimpsest.harness.specs.cases import Origin
from palimpsest.harness.statistics.texts import StatisticsSource
from palimpsest.tasks.registry import DataFiles
from palimpsest.tasks.statistics_texts import statistics_source


@dataclass(frozen=True, slots=True)
class Means:
    """With what runs are done."""

    placement: Placement
    installed: Installation
    statistics: str | None
    """Source of key statistics, as `palimpsest.harness.runs.loaded_model.load` takes it; None: each model's own."""
    statistics_hash: str | None
    """Identity of that source in a spec."""


def checked(
    device: str,
    device_map: str | None,
    *,
    offload: bool,
    engine: str = "hf",
    threads: int | None = None,
    elsewhere: bool = False,
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
        threads: Threads of torch; None: as `Placement` says.
        elsewhere: Other machines do the runs; GPUs are looked for there.
        data: Folders with items of ability tasks.
        text: Text of key statistics in place of each model's own.
        files: Local files for tasks whose data do not ship.

    Raises:
        UsageError: A value that does not exist, or a file or folder that is not there.
        ConfigError: A statistics file that cannot be read.
        MissingResource: There is no such GPU.
    """
    placement = Placement(device=device, device_map=device_map, offload=offload, engine=engine, threads=threads)
    placement.check(elsewhere=elsewhere)
    missing = [folder for folder in data or () if not folder.is_dir()]
    if missing:
        raise UsageError(f"--ability-data {missing[0]}: no such folder.")
    given = statistics(text)
    source, digest = (None, None) if given is None else given
    return Means(placement, installation(files, data or ()), source, digest)


def statistics(text: Path | None) -> StatisticsSource | None:
    """The source that ``--stats-text`` names; raises as `checked`."""
    return None if text is None else statistics_source(text)


def tell_of_data(*origins: Origin | None) -> None:
    """Say what was found in data that do not ship: what is left out, and what contradicts itself."""
    for note in dict.fromkeys(note for origin in origins if origin for note in origin.notes):
        output.note(note)


def absolute_task(name: str) -> str:
    """``TASK:FILE`` with the file's absolute path: processes work in a folder of their own."""
    task, colon, place = name.partition(":")
    return f"{task}:{Path(place).absolute()}" if colon and Path(place).exists() else name
