"""`palimpsest doctor`: is everything here that runs, store and page need?"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from packaging.requirements import Requirement

from palimpsest.cli import cluster_checks, options, output, place_options
from palimpsest.cli.depots import address
from palimpsest.cli.doctor_check import Check
from palimpsest.cli.places import Place
from palimpsest.cli.store_place import store_path
from palimpsest.harness.errors import PalimpsestError
from palimpsest.harness.model.catalogue import fingerprint, registered_models, resolve
from palimpsest.harness.plugins.configuration import load_editor_class
from palimpsest.harness.plugins.entry_points import available_editors, misnamed
from palimpsest.harness.system.environment import DISTRIBUTION, cores
from palimpsest.harness.system.memory import free_memory
from palimpsest.harness.system.trouble import trouble
from palimpsest.results.store.database import Store
from palimpsest.tasks.ability_library import ability_refs

app = typer.Typer(add_completion=False)

MEMORY_GB = 3.0
"""Bytes that the suite of the pocket model needs at most."""
DISK_GB = 2.0


_MARKS = {"ok": "✓ ok", "warn": "! warn", "fail": "✗ fail"}


@app.command(
    epilog="Examples:\n\npalimpsest doctor\n\npalimpsest doctor --json\n\n"
    "palimpsest doctor --on slurm --slurm --partition=gpu\n\nMore: docs/command-line.md"
)
def doctor(
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="local[:N]|ray[:HOST:PORT]|slurm",
            envvar="PALIMPSEST_ON",
            help="Check also a place that runs may be given to.",
            rich_help_panel=options.MACHINE,
        ),
    ] = None,
    slurm: place_options.SlurmOption = None,
    home: options.HomeOption = None,
    depot: Annotated[
        str | None,
        typer.Option(
            "--depot",
            metavar="URL",
            envvar="PALIMPSEST_DEPOT",
            help="Check also a depot, as s3://bucket/folder.",
            rich_help_panel=options.PLACE,
        ),
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Check that this machine, or a cluster, has what runs need; exit 4 when something is lacking."""
    Place(on=on, slurm=slurm).check()
    place = options.home_folder(home)
    further = cluster_checks.parts(on, slurm or "", None if depot is None else address(depot), place)
    checks = list(examine(place, further))
    if as_json:
        output.json_line(checks)
    else:
        output.table(["check", "state", "found"], [(check.name, _MARKS[check.state], check.found) for check in checks])
        for check in checks:
            if check.advice:
                output.line(f"{check.name}: {check.advice}")
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(4)


def examine(home: Path, further: Sequence[cluster_checks.Part] = ()) -> Iterator[Check]:
    """Every check in turn; one that breaks becomes a failed line and stops no other."""
    parts: list[cluster_checks.Part] = [
        ("python", _python),
        ("packages", _packages),
        ("machine", _machine),
        ("home", lambda: _home(home)),
        ("models", _models),
        ("editors", _editors),
        ("abilities", _abilities),
        ("store", lambda: _store(home)),
        *further,
    ]
    for name, part in parts:
        try:
            yield from part()
        except Exception as error:
            known = error if isinstance(error, PalimpsestError) else trouble(error)
            if known is not None:
                yield Check(name, "fail", "not usable", str(known))
            else:
                yield Check(name, "fail", "check broke", f"{type(error).__name__}: {error}")


def _python() -> Iterator[Check]:
    good = sys.version_info >= (3, 11)
    yield Check("python", "ok" if good else "fail", platform.python_version(), "" if good else "Use 3.11 or newer.")


def _packages() -> Iterator[Check]:
    """Versions against what the distribution asks for, extras left out."""
    wrong = []
    requirements = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or ()]
    needed = [r for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
    for requirement in needed:
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement} is not installed")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} is {version}, needed {requirement.specifier}")
    advice = f"{'; '.join(wrong)}. Install with: pip install {DISTRIBUTION}" if wrong else ""
    key = ", ".join(f"{name} {_version(name)}" for name in ("torch", "transformers", "lm-eval", "duckdb"))
    yield Check("packages", "fail" if wrong else "ok", f"{len(needed)} needed; {key}", advice)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def _machine() -> Iterator[Check]:
    available_cores = cores()
    threads = os.environ.get("OMP_NUM_THREADS")
    too_many = threads is not None and threads.isdecimal() and int(threads) > available_cores
    advice = f"OMP_NUM_THREADS is {threads}, more than the cores: runs get slower. Unset it." if too_many else ""
    seen = f"{available_cores} cores, threads {threads or 'automatic'}"
    yield Check("cores", "warn" if too_many else "ok", seen, advice)
    free = free_memory() / 1e9
    short = free < MEMORY_GB
    advice = f"The pocket suite needs up to {MEMORY_GB:g} GB. Close other programs." if short else ""
    yield Check("memory", "warn" if short else "ok", f"{free:.1f} GB free", advice)


def _home(home: Path) -> Iterator[Check]:
    existing = next(place for place in [home, *home.absolute().parents] if place.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".palimpsest-doctor-") as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
        yield Check("home", "ok", f"{home.absolute()} can be written")
    except OSError as error:
        advice = f"{existing}: {error.strerror}. Choose another place with --home or PALIMPSEST_HOME."
        yield Check("home", "fail", f"{home.absolute()} cannot be written", advice)
    free = shutil.disk_usage(existing).free / 1e9
    short = free < DISK_GB
    advice = f"Runs of the pocket suite take up to {DISK_GB:g} GB. Make room or choose another --home." if short else ""
    yield Check("disk", "warn" if short else "ok", f"{free:.1f} GB free", advice)


def _models() -> Iterator[Check]:
    for name, registered in registered_models().items():
        if registered.folder is None:
            continue
        try:
            found = fingerprint(resolve(name))
        except PalimpsestError as error:
            yield Check(f"model {name}", "fail", "not usable", str(error))
            continue
        expected = registered.expected_fingerprint
        if expected is not None and found != expected:
            advice = (
                f"The files in {registered.folder} are not those that ship ({expected[:12]}). Reinstall Palimpsest."
            )
            yield Check(f"model {name}", "fail", f"fingerprint {found[:12]}", advice)
        else:
            verified = "verified" if expected else "readable"
            yield Check(f"model {name}", "ok", f"{verified}, fingerprint {found[:12]}")


def _editors() -> Iterator[Check]:
    for text in misnamed():
        yield Check("plugins", "warn", "one is not used", text)
    for entry in available_editors():
        try:
            load_editor_class(entry.name)
            yield Check(f"editor {entry.name}", "ok", f"{entry.distribution} {entry.version}")
        except PalimpsestError as error:
            own = entry.distribution == DISTRIBUTION
            yield Check(f"editor {entry.name}", "fail" if own else "warn", "does not load", str(error))


def _abilities() -> Iterator[Check]:
    refs = ability_refs(["pocket"], None)
    yield Check("abilities", "ok", f"{len(refs)} tasks in the group pocket")


def _store(home: Path) -> Iterator[Check]:
    path = store_path(home)
    if not path.is_file():
        yield Check("store", "ok", "none yet; palimpsest store ingest makes it")
        return
    try:
        with Store.open(path, read_only=True) as store:
            runs = store.rows("SELECT count(*) FROM runs")[0][0]
        yield Check("store", "ok", f"{path}, {runs} runs")
    except PalimpsestError as error:
        yield Check("store", "warn", "cannot be opened", str(error))
