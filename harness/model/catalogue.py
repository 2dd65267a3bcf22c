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
from palimpsest.harness.specs.model_entry import ModelEntry, ModelShape

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
    folder, shape = values.pop("folder", None), values.pop("shape", None)
    return ModelEntry(
        name,
        None if folder is None else _PACKAGE / folder,
        layers=tuple(values.pop("layers", ())),
        shape=None if shape is None else ModelShape(**shape),
        source=name,
        **values,
    )


def resolve(name: str) -> ModelEntry:
    """The model called ``name``: a registered name, a local folder, or a hub id ``owner/name[@revision]``.

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
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        hub, _, revision = name.partition("@")
        return ModelEntry(hub, None, hub=hub, revision=revision or None, source=name)
    raise unknown_name("Model", name, registered_models(), "palimpsest list models (or give a folder or a hub id)")


def locate(entry: ModelEntry) -> Path:
    """The folder with the model's files, fetched from the hub when it is not there yet.

    Raises:
        MissingResource: If the hub cannot be reached and nothing is cached.
    """
    if entry.folder is not None:
        return entry.folder
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(entry.hub), revision=entry.revision, allow_patterns=list(_PATTERNS)))
    except Exception as error:
        raise MissingResource(
            f"Model {entry.hub}: not in the local cache and not to be had from the hub ({type(error).__name__}). "
            "Check the name, the network and your access, or give a local folder."
        ) from error


def located(entry: ModelEntry) -> ModelEntry:
    """The entry with the folder of its files, fetched from the hub when they are not there yet; raises as `locate`."""
    folder = locate(entry)
    return entry if entry.folder is not None else replace(entry, folder=folder)


def revision_of(entry: ModelEntry) -> str | None:
    """The commit that the files of a located hub model are of, by its folder in the hub's cache; None if local."""
    name = "" if entry.folder is None else entry.folder.name
    is_commit = len(name) == 40 and all(digit in "0123456789abcdef" for digit in name)
    return name if entry.hub is not None and is_commit else entry.revision


def is_here(entry: ModelEntry) -> bool:
    """True if the model's files are on this machine, so that nothing has to be fetched."""
    if entry.folder is not None:
        return (entry.folder / "config.json").is_file()
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
    """SHA-256 over the bytes of weights, config and tokenizer: what the model is, whatever it is called.

    Raises:
        MissingResource: If there are no safetensors weights, or Git LFS has not fetched a file.
    """
    folder = locate(entry)
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
