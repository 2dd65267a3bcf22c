"""The nodes of a Ray cluster: whether they have what runs need, and are alike."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.harness.errors import MissingResource
from palimpsest.harness.fleet.demand import demand_of
from palimpsest.harness.fleet.ticket import FOLDER, RunTicket
from palimpsest.harness.system.environment import DISTRIBUTION

if TYPE_CHECKING:
    from palimpsest.harness.fleet.ticket import Ticket

_CENSUS_SECONDS = 180.0


def require_room(tickets: Sequence[Ticket], nodes: Sequence[Mapping[str, float]]) -> None:
    """Refuse work that would wait for ever.

    Args:
        tickets: The work.
        nodes: Resources of each node, by name.

    Raises:
        MissingResource: No node has what one of them needs.
    """
    for demand in sorted(set(map(demand_of, tickets)), key=str):
        if not any(demand.fitting(node) for node in nodes):
            there = "; ".join(map(resources, nodes))
            raise MissingResource(
                f"No node of the cluster has {demand}: such a run would wait for ever. There are: {there}."
            )


def require_alike(ray: Any, home: Path, tickets: Sequence[Ticket]) -> None:
    """Compare every node with this one, as `census` does.

    Raises:
        MissingResource: Something differs; a line for each node that does.
    """
    shared = not any(isinstance(ticket, RunTicket) and ticket.depot is not None for ticket in tickets)
    used = {ticket.spec.editor.distribution for ticket in tickets if isinstance(ticket, RunTicket)}
    distributions = sorted({name for names in used for name in names.split(" + ")} - {DISTRIBUTION})
    lines = [f"  {name}: {what}" for name, what in census(ray, home, distributions, shared=shared).items() if what]
    if lines:
        raise MissingResource("\n".join(["Not every node of the cluster is as this one; nothing was begun:", *lines]))


def census(ray: Any, home: Path, distributions: Sequence[str], *, shared: bool = True) -> dict[str, str]:
    """Name of every node → words for all in which it differs from this one; empty words: nothing.

    Compared are versions, these distributions of editors, and whether home and locks are ``shared``, if they must be.
    """
    # Late: Ray comes with it.
    from filelock import FileLock
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from palimpsest.harness.fleet.ray_node import look

    mark = home / FOLDER / f"census-{os.urandom(4).hex()}"
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    held = mark.with_suffix(".lock")
    try:
        here = look([*distributions], str(mark), str(held))["versions"]
        with FileLock(held):
            asked = {}
            for name, node in alive(ray).items():
                pinned = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                # Looking changes nothing, so a worker that Ray loses while it starts is no difference of the node.
                task = ray.remote(look).options(num_cpus=0, max_retries=3, scheduling_strategy=pinned)
                asked[name] = task.remote([*distributions], str(mark), str(held))
            wrong = {name: _difference(ray, ref, here, home if shared else None) for name, ref in asked.items()}
    finally:
        mark.unlink(missing_ok=True)
        held.unlink(missing_ok=True)
    # A node that has died meanwhile is no reason to refuse.
    return {name: wrong[name] for name in alive(ray) if name in wrong}


def resources(node: Mapping[str, float]) -> str:
    """Words for the resources of a node."""
    return f"{node.get('CPU', 0):.0f} CPU, {node.get('GPU', 0):.0f} GPU, {node.get('memory', 0) / 2**30:.1f} GB"


def last_line(error: BaseException) -> str:
    """The last line of an error of Ray's, which ends with what was raised on a node."""
    return str(error).strip().splitlines()[-1]


def alive(ray: Any) -> dict[str, Any]:
    """All nodes that are alive, by their names for people."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    return {f"{node['NodeManagerAddress']} ({node['NodeID'][:8]})": node for node in nodes}


def _difference(ray: Any, ref: Any, here: Mapping[str, str], home: Path | None) -> str:
    """Words for all that is wrong with a node; empty: nothing."""
    try:
        found = ray.get(ref, timeout=_CENSUS_SECONDS)
    except ray.exceptions.GetTimeoutError:
        return f"it did not answer within {_CENSUS_SECONDS:.0f} s"
    except ray.exceptions.RayError as error:
        return f"Palimpsest could not be asked there ({last_line(error)})"
    there = found["versions"]
    wrong = [
        f"{name} {here.get(name) or 'none'} here, {there.get(name) or 'none'} there"
        for name in sorted({*here, *there})
        if here.get(name) != there.get(name)
    ]
    if home is not None and not found["home"]:
        wrong.append(f"it does not see {home}; the home must be a folder that all nodes share")
    if home is not None and not found["locks"]:
        wrong.append(f"locks in {home} do not hold between machines; mount the file system with them")
    return ", ".join(wrong)
