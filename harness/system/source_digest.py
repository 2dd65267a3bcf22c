"""Digests of source code: what was made by other code is made anew."""

from __future__ import annotations

import ast
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


def reached(starts: Iterable[Path], root: Path) -> set[Path]:
    """Those of our modules that ``starts`` import, directly or through each other, with them.

    Args:
        starts: Python files.
        root: The folder of our packages: ``palimpsest.harness`` is in ``root / "harness"``.
    """
    found: set[Path] = set()
    left = list(starts)
    while left:
        file = left.pop()
        if file not in found:
            found.add(file)
            left += [path for name in _imports(file) if (path := _module(name, root)) is not None]
    return found


def _imports(file: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in names if name.startswith("palimpsest.")]


def _module(name: str, root: Path) -> Path | None:
    """The file of a module, or of the module that a name is in."""
    parts = name.split(".")[1:]
    for length in (len(parts), len(parts) - 1):
        place = root.joinpath(*parts[:length])
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                return file
    return None
