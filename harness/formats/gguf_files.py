"""A GGUF file as a model folder: dequantised once into a cache, with a record of where it came from.

A file of llama.cpp holds quantised weights and a tokenizer. transformers reads both; what it makes of them is kept as
an ordinary folder of safetensors. The model's identity is that of its tensors, configuration and tokenizer, since the
folder's bytes also depend on the version of transformers that wrote it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from palimpsest.harness.errors import MissingResource, UsageError, first_line

RECORD = "gguf.json"
"""In a converted folder: source, quantisation, and fingerprint of the tensors."""
DTYPES = ("float32", "bfloat16")
_MAGIC = b"GGUF"


def cache_folder() -> Path:
    """Folder of converted models, for all homes: ``$PALIMPSEST_CACHE``, else the user's own cache."""
    own = os.environ.get("PALIMPSEST_CACHE")
    base = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "palimpsest"
    return base.expanduser().absolute() / "models"


def folder_of(sha256: str, stem: str, dtype: str) -> Path:
    """Folder of the file with this checksum, once it is converted."""
    return cache_folder() / f"{stem}-{sha256[:16]}-{dtype}"


def checksum(file: Path) -> str:
    """SHA-256 of a GGUF file.

    Raises:
        MissingResource: It is none, or cannot be read.
    """
    try:
        about = file.stat()
        with file.open("rb") as stream:
            if stream.read(4) != _MAGIC:
                raise MissingResource(f"{file} is no GGUF file: it does not begin with {_MAGIC.decode()!r}.")
        return _checksum(file, about.st_size, about.st_mtime_ns)
    except OSError as error:
        raise MissingResource(f"{file} cannot be read: {error.strerror}.") from error


@cache
def _checksum(file: Path, size: int, changed: int) -> str:
    """Read once, however often a process asks for a file of this size and time."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def convert(file: Path, folder: Path, dtype: str, fingerprint: Callable[[Any, Any], str]) -> Path:
    """Dequantise a file into ``folder``, unless that is there.

    Args:
        file: The GGUF file.
        folder: Where the model goes.
        dtype: One of `DTYPES`.
        fingerprint: Identity of a model and its tokenizer.

    Raises:
        MissingResource: The package ``gguf`` is not installed, or the file holds no model that transformers reads.
        UsageError: Another dtype than those of `DTYPES`.
    """
    if dtype not in DTYPES:
        raise UsageError(f"{file.name}: expected {' or '.join(DTYPES)} behind the @, got {dtype!r}.")
    if (folder / RECORD).is_file():
        return folder
    sha256 = checksum(file)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as place:
        made = Path(place) / "model"
        record = _write(file, made, dtype, fingerprint) | {"file": file.name, "sha256": sha256, "dtype": dtype}
        record["files"] = {path.name: _file_digest(path) for path in sorted(made.iterdir())}
        (made / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        try:
            made.rename(folder)
        except OSError:  # another process was first, or what is there has no record and was never whole
            if not (folder / RECORD).is_file():
                shutil.rmtree(folder)
                made.rename(folder)
    return folder


def require_reader(name: str) -> None:
    """Refuse what would be in vain, before it is downloaded or read.

    Args:
        name: File or model that is to be converted.

    Raises:
        MissingResource: The package ``gguf`` is not installed.
    """
    try:
        import gguf  # noqa: F401  # late: an extra
    except ImportError as error:
        raise MissingResource(
            f"{name}: GGUF files are read with the package gguf. Install it with: pip install 'palimpsest-bench[gguf]' "
            "(in a clone: .venv/bin/python -m pip install --editable '.[gguf]')"
        ) from error


def _write(file: Path, folder: Path, dtype: str, fingerprint: Callable[[Any, Any], str]) -> dict[str, Any]:
    """Save model and tokenizer as transformers does; returns what is worth knowing of them."""
    require_reader(file.name)
    # Late: torch and transformers load for seconds.
    import gguf
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    how: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True, "trust_remote_code": False}
    try:
        reader = gguf.GGUFReader(file)
        tokenizer = AutoTokenizer.from_pretrained(str(file.parent), padding_side="right", **how)
        model = AutoModelForCausalLM.from_pretrained(str(file.parent), dtype=getattr(torch, dtype), **how)
    except Exception as error:  # both packages have errors of their own for each way of being wrong
        raise MissingResource(
            f"{file} cannot be converted: {first_line(error)} Expected a language model of an architecture whose GGUF "
            "files transformers reads, with its tokenizer."
        ) from error
    model.hf_quantizer = None  # the weights are plain numbers, and are saved as such
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return {
        "name": _text(reader, "general.name") or file.stem,
        "quantisation": _quantisation(reader),
        "fingerprint": fingerprint(model, tokenizer),
    }


def _text(reader: Any, key: str) -> str:
    """A field of the file's head; empty where it has none."""
    field = reader.get_field(key)
    return "" if field is None else str(field.contents())


def _quantisation(reader: Any) -> str:
    """Name of the kind that holds the most weights, as ``Q4_1``."""
    weights: Counter[str] = Counter()
    for tensor in reader.tensors:
        weights[tensor.tensor_type.name] += int(tensor.n_elements)
    return weights.most_common(1)[0][0] if weights else "none"


def record_of(folder: Path) -> dict[str, Any] | None:
    """Record of a converted folder; None for any other folder.

    Raises:
        MissingResource: The record cannot be read, or a file is not the one that was written.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    again = f"Remove the folder {folder}; it is made again."
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        files = dict(record["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MissingResource(f"{path} is not what a conversion wrote. {again}") from error
    for name, digest in files.items():
        if not (folder / name).is_file() or _file_digest(folder / name) != digest:
            raise MissingResource(f"{folder / name} is not the file that was written there. {again}")
    return record


def described(folder: Path) -> str | None:
    """Quantisation and checksum of the file that a folder was converted from; None for any other folder."""
    record = record_of(folder)
    return None if record is None else f"GGUF {record['quantisation']}, sha256 {record['sha256']}"


def _file_digest(path: Path) -> str:
    about = path.stat()
    return _checksum(path, about.st_size, about.st_mtime_ns)
