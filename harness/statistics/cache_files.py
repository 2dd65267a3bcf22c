"""Files of caches that carry a checksum of what is in them; one that is damaged is told of and made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from palimpsest.harness.system.atomic_files import atomic_write_json, replace_file

_SUM = "sha256"
_DAMAGED = "{} is damaged, or of a release that wrote no checksums; it is made again."
Tell = Callable[[str], object]
"""Receives a message about a file that is damaged."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write named tensors as safetensors, with their checksum in the header; raises as `replace_file`."""
    contents = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    replace_file(path, lambda part: save_file(contents, part, {_SUM: _digest(contents)}))


def read_tensors(path: Path, tell: Tell) -> dict[str, Tensor] | None:
    """The tensors of a file of `write_tensors`; None where there is none, or it is damaged, which is told."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            whole = (file.metadata() or {}).get(_SUM) == _digest(tensors)
    except Exception:  # safetensors has errors of its own for each way of being damaged
        whole = False
    if not whole:
        tell(_DAMAGED.format(path))
    return tensors if whole else None


def write_json(path: Path, value: Any) -> None:
    """Write a value with its checksum; raises as `atomic_write_json`."""
    atomic_write_json(path, {_SUM: _json_digest(value), "value": value})


def read_json(path: Path, tell: Tell) -> Any:
    """The value in a file of `write_json`; None where there is none, or it is damaged, which is told."""
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_bytes())
        whole = found[_SUM] == _json_digest(found["value"])
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        tell(_DAMAGED.format(path))
    return found["value"] if whole else None


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).numpy().data)
    return digest.hexdigest()


def _json_digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
