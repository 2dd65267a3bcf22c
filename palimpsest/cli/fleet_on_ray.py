"""The runs of a home that are on a Ray cluster, for commands that did not begin them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from palimpsest.cli.ray_pool import conductor_name, connected, noise_into
from palimpsest.harness.errors import MissingResource, first_line
from palimpsest.harness.fleet.ticket import FOLDER


def going_on_ray(home: Path, address: str) -> dict[str, str]:
    """Names of the tickets that a cluster has → ``pending`` or ``running``; none, where nothing goes on.

    Raises:
        MissingResource: Ray is not installed, or no cluster answers, or its conductor does not.
    """
    with _conductor(home, address) as (ray, conductor):
        return dict(ray.get(conductor.going_on.remote())) if conductor is not None else {}


def stop_on_ray(home: Path, address: str) -> list[str]:
    """Tell all runs on a cluster to save and end; the names of those that went on or waited.

    Raises:
        MissingResource: Ray is not installed, or no cluster answers, or its conductor does not.
    """
    with _conductor(home, address) as (ray, conductor):
        if conductor is None:
            return []
        names = sorted(ray.get(conductor.going_on.remote()))
        ray.get(conductor.state.remote("", 0, "terminated"))
        return names


@contextmanager
def _conductor(home: Path, address: str) -> Iterator[tuple[Any, Any]]:
    """Ray, and the conductor of a home; None: there is none, as when all runs have ended."""
    with noise_into(home / FOLDER / "ray.log"):
        ray = connected(address)
        try:
            try:
                conductor = ray.get_actor(conductor_name(home))
            except ValueError:
                conductor = None
            yield ray, conductor
        except ray.exceptions.RayActorError as error:
            raise MissingResource(f"The runs' conductor does not answer ({first_line(error)}). Ask again.") from error
        finally:
            ray.shutdown()
