"""The ticket of one piece of work: everything that a process of its own needs for it, as a JSON file.

Nothing of it is executed, and what it names is checked: the worker compares versions, and for a run the task's content,
the model's fingerprint and the hash of the statistics text with what the spec says.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from palimpsest.harness.errors import ConfigError
from palimpsest.harness.metrics.diagnostic_definitions import Level
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.harness.system.atomic_files import atomic_write_text
from palimpsest.harness.system.environment import environment_segment
from palimpsest.harness.system.strict import Strict

FOLDER = "fleet"
"""Folder of the tickets in a home, with what their processes print for people."""

SHARED = "shared"
"""Event of a process: the key statistics that its group shares are made; nobody waits for them any more."""


class Means(Strict):
    """With what a run is done, as the flags of ``palimpsest run`` say it; all paths are absolute."""

    device: str = "cpu"
    device_map: str | None = None
    offload: bool = False
    engine: str = "hf"
    threads: int | None = None
    data: tuple[str, ...] = Field(default=(), strict=False)
    """As given with ``--data``."""
    skip_bad: bool = False
    ability_data: tuple[str, ...] = Field(default=(), strict=False)
    abilities: tuple[str, ...] = Field(default=(), strict=False)
    """Names and folders that the abilities were chosen by."""
    stats_text: str | None = None


class Course(Strict):
    """Settings by which a run is carried out; nothing here changes a number."""

    limit: int | None = None
    keep: Literal["newest", "all", "none"] = "newest"
    any_machine: bool = False
    diagnostics: Level = "cheap"
    command: str = ""
    """Words that are recorded as the command."""


class Ticket(Strict):
    """One piece of work for one process."""

    home: str
    """Folder of runs and caches, absolute."""
    means: Means = Means()
    seconds: float | None = None
    """About how long it takes; None: unknown."""
    memory: int = 0
    """Bytes that its process needs, if that is known."""
    gpus: int | None = None
    """GPUs that its process takes; None: one, unless it works on the CPU."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Versions that the worker must have too; see `versions_here`."""
    after: tuple[str, ...] = Field(default=(), strict=False)
    """Names of tickets for whose ends this one waits, whatever those are."""

    @property
    def name(self) -> str:
        """Name of the work, and of its files: by its content."""
        content = self.model_dump_json(exclude={"seconds", "memory", "gpus", "versions", "after"})
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    @property
    def group(self) -> str:
        """Name of the key statistics that this work shares with others; empty where it needs none."""
        return ""

    @property
    def place(self) -> Path:
        """The ticket's file."""
        return Path(self.home) / FOLDER / f"{self.name}.json"

    @property
    def log(self) -> Path:
        """File of all that the processes of this ticket print for people."""
        return self.place.with_suffix(".log")

    def write(self) -> Path:
        """Write the ticket; its file.

        Raises:
            MissingResource: The disk is full.
        """
        atomic_write_text(self.place, self.model_dump_json(indent=1) + "\n")
        return self.place

    def require_versions(self) -> None:
        """Refuse to work with other versions than the ticket was written with: other last bits would come out.

        Raises:
            ConfigError: Names what differs.
        """
        here = versions_here()
        differing = [
            f"{name} {self.versions.get(name)} → {here.get(name)}"
            for name in sorted({*self.versions, *here})
            if self.versions and self.versions.get(name) != here.get(name)
        ]
        if differing:
            raise ConfigError(
                f"The ticket of {self.name} was written with other versions: {', '.join(differing)}. Install "
                "the same ones here."
            )


class RunTicket(Ticket):
    """One run."""

    kind: Literal["run"] = "run"
    spec: RunSpec
    model: str
    """Source of the model here: a registered name, a folder, or a hub id."""
    task: str
    """Name by which the task is found here."""
    course: Course = Course()
    depot: str | None = None
    """Address of the depot that keeps the run, for which the home is scratch; None: the home keeps it."""
    statistics: tuple[tuple[int, tuple[int, ...]], ...] = Field(default=(), strict=False)
    """(Tokens of the text, blocks) of the key statistics that all runs of the model need, if this one needs any."""

    @property
    def name(self) -> str:
        """The run's id."""
        return self.spec.id

    @property
    def group(self) -> str:
        """The model's fingerprint, if the run needs key statistics."""
        return self.spec.model.fingerprint if self.statistics else ""


def read_ticket(path: Path, kinds: Any = RunTicket) -> Any:
    """The ticket in a file, of one of these kinds (a type that pydantic knows).

    Raises:
        ConfigError: It cannot be read or is no ticket; says where.
    """
    try:
        return TypeAdapter(kinds).validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"Ticket {path}: cannot be read ({error}).") from error
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        raise ConfigError(f"Ticket {path}: {found}.") from error


def versions_here() -> dict[str, str]:
    """Versions of Python, of Palimpsest and of the packages that may move a number."""
    segment: dict[str, Any] = environment_segment(())
    return {"python": segment["python"], "palimpsest": segment["palimpsest_version"] or "", **segment["packages"]}
