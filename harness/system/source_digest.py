"""Digests of source code: what was made by other code is made anew."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def digest_of(files: Iterable[Path], root: Path) -> str:
    """SHA-256 over the names below ``root`` and the contents of ``files``, in the order of their paths."""
    digest = hashlib.sha256()
    for file in sorted(files):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def files_below(place: Path) -> list[Path]:
    """Every file in a folder and its subfolders but what Python caches; a file itself."""
    if place.is_file():
        return [place]
    return [file for file in place.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
