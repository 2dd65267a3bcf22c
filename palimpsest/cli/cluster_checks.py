"""Checks of the places at which runs are done and kept: processes here, a Ray cluster, Slurm, a depot."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from palimpsest.cli.depots import opened
from palimpsest.cli.doctor_check import Check
from palimpsest.cli.pool import LEAST_BYTES, at_once
from palimpsest.cli.ray_census import alive, census, resources
from palimpsest.cli.ray_pool import connected, noise_into, ray_address
from palimpsest.cli.slurm import call, queued
from palimpsest.cli.slurm_script import Size, Times, script
from palimpsest.harness.errors import MissingResource
from palimpsest.harness.fleet.local import slots
from palimpsest.harness.fleet.ticket import FOLDER
from palimpsest.harness.plugins.entry_points import available_editors
from palimpsest.harness.system import child
from palimpsest.harness.system.environment import DISTRIBUTION, cores
from palimpsest.harness.system.locks import Held, locked

_MANY = 1 << 20
"""More runs than any machine carries at once."""
_COMMANDS = ("sbatch", "squeue", "scontrol", "scancel")

Part = tuple[str, Callable[[], Iterator[Check]]]


def parts(on: str | None, words: str, depot: str | None, home: Path) -> list[Part]:
    """The checks of ``--on`` and ``--depot``, each with its name; none where neither is given.

    Args:
        on: A place of runs that exists.
        words: Further options of sbatch, checked.
        depot: Address of a depot.
        home: Folder of runs.
    """
    found: list[Part] = []
    address = ray_address(on)
    if address is not None:
        found.append(("ray", partial(_ray, address, home, shared=depot is None)))
    elif on == "slurm":
        found += [
            ("slurm", partial(_slurm, home)),
            ("script", partial(_script, words)),
            ("locks", partial(_locks, home)),
        ]
    elif on is not None:
        found += [("at once", partial(_local, on)), ("locks", partial(_locks, home))]
    if depot is not None:
        found.append(("depot", partial(_depot, depot)))
    return found


def _local(on: str) -> Iterator[Check]:
    count = slots(at_once(on), _MANY, 1, LEAST_BYTES)
    many = count > cores()
    advice = f"{count} runs share {cores()} cores: none is done sooner. Leave the number out." if many else ""
    yield Check("at once", "warn" if many else "ok", f"{count} runs of a pocket model", advice)


def _locks(home: Path) -> Iterator[Check]:
    """Locks in the home, as this machine alone can try them."""
    existing = next(place for place in [home, *home.absolute().parents] if place.exists())
    advice = (
        f"Two processes could write one run over each other in {existing}. Mount the file system with locks, or choose "
        "another --home."
    )
    try:
        with tempfile.TemporaryDirectory(dir=existing, prefix=".palimpsest-doctor-") as folder:
            place = Path(folder) / "lock"
            with locked(place):
                try:
                    with locked(place):
                        yield Check("locks", "fail", "a lock that is held can be taken", advice)
                except Held:
                    yield Check("locks", "ok", "a lock that is held is refused")
    except OSError as error:
        yield Check("locks", "fail", f"no file can be locked ({error.strerror})", advice)


def _ray(address: str, home: Path, *, shared: bool) -> Iterator[Check]:
    """The cluster, and a line for each node; whether the home is ``shared`` matters where no depot keeps the runs."""
    with noise_into(home / FOLDER / "ray.log"):
        ray = connected(address)
        try:
            nodes = alive(ray)
            distributions = sorted({editor.distribution for editor in available_editors()} - {DISTRIBUTION})
            wrong = census(ray, home, distributions, shared=shared)
        finally:
            ray.shutdown()
    idle = not any(node["Resources"].get("CPU") for node in nodes.values())
    advice = "No node has a CPU for runs. Start one: ray start --address=HOST:6379" if idle else ""
    yield Check("ray", "fail" if idle else "ok", f"{ray.__version__}, {len(nodes)} nodes", advice)
    for name, node in nodes.items():
        what = wrong.get(name, "")
        alike = "as this machine, sees the home, locks hold" if shared else "as this machine"
        here = "lacks something" if what else alike
        yield Check(f"node {name}", "fail" if what else "ok", f"{resources(node['Resources'])}; {here}", what)


def _slurm(home: Path) -> Iterator[Check]:
    """The commands of Slurm's that are needed, and whether it answers."""
    for name in _COMMANDS:
        try:
            yield Check(name, "ok", call(name, "--version").strip())
        except MissingResource as error:
            yield Check(name, "fail", "cannot be used", str(error))
    try:
        yield Check("queue", "ok", f"Slurm answers; {len(queued(home))} runs of this home are in its queue")
    except MissingResource as error:
        yield Check("queue", "fail", "Slurm does not answer", str(error))


def _script(words: str) -> Iterator[Check]:
    """A batch script as runs have them: to bash, and to Slurm with the options that were given."""
    with tempfile.TemporaryDirectory(prefix="palimpsest-doctor-") as folder:
        place = Path(folder) / "array.sh"
        place.write_text(script(Path(folder), Path(folder) / "list", 1, Size(1, 0, 4096), Times(None, None), words))
        read = child.program("bash", "-n", str(place))
        if read.returncode:
            yield Check("script", "fail", "bash refuses it", read.stderr.decode(errors="replace").strip())
        else:
            yield Check("script", "ok", "bash reads it")
        yield _options(place, words)


def _options(place: Path, words: str) -> Check:
    try:
        if "--test-only" not in call("sbatch", "--help"):
            return Check("options", "warn", "not tried", "This sbatch has no --test-only: the first run will tell.")
        call("sbatch", "--test-only", str(place))
    except MissingResource as error:
        advice = f"{error} Give a partition or an account that there is with --slurm."
        return Check("options", "fail", "Slurm would take no run", advice)
    return Check("options", "ok", f"Slurm would take a run with {words or 'no further options'}")


def _depot(url: str) -> Iterator[Check]:
    opened(url)
    yield Check("depot", "ok", f"{url} can be written, and refuses the second of two writers")
