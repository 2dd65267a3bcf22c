"""Resources that the process of a ticket takes from a node of a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from palimpsest.harness.fleet.ticket import Ticket

_GIGABYTE = 1 << 30


@dataclass(frozen=True, slots=True)
class Demand:
    """Resources that an attempt takes from one node."""

    cpus: int
    gpus: int
    gigabytes: int
    """In whole ones, so that Ray has few classes to schedule."""

    def fitting(self, resources: Mapping[str, float]) -> int:
        """Number of these that a node with such resources carries at once."""
        asked = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.gigabytes * _GIGABYTE}
        return min(int(resources.get(name, 0) // number) for name, number in asked.items() if number)

    def options(self) -> dict[str, float]:
        """The same as options of a task."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, "memory": self.gigabytes * _GIGABYTE}

    def __str__(self) -> str:
        gpus = f", {self.gpus} GPU" if self.gpus else ""
        return f"{self.cpus} CPU{gpus} and {self.gigabytes} GB of memory"


def demand_of(ticket: Ticket) -> Demand:
    """Resources that the process of a ticket takes."""
    on_cpu = ticket.means.device == "cpu" and ticket.means.device_map is None
    return Demand(
        cpus=ticket.means.threads or 1,
        gpus=int(not on_cpu) if ticket.gpus is None else ticket.gpus,
        gigabytes=-(-ticket.memory // _GIGABYTE),
    )
