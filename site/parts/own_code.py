"""The code that pages are made by, as a fingerprint: what was made by other code is made anew."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from palimpsest.harness.system.source_digest import digest_of

_PACKAGES = Path(__file__).resolve().parents[2]
_SHOWN = (
    *("site/**/*.html", "site/**/*.xml", "results/**/*.csv", "results/**/*.sql", "harness/metrics/*.toml"),
    *("editors/**/*.py", "tasks/abilities/**/*.yaml", "tasks/abilities/*.toml"),
)
"""Files beside imported code that pages are made of."""


def code_fingerprint(version: str, root: Path = _PACKAGES) -> str:
    """Digest of everything besides the data that a page depends on, below the folder of our packages.

    That is the site with its templates, every module that it reaches through imports, and what those read: published
    numbers, definitions of metrics, ability tasks, and the editors, whose own words are shown.
    """
    code = reached((root / "site").rglob("*.py"), root)
    shown = [file for pattern in _SHOWN for file in root.glob(pattern)]
    return hashlib.sha256(f"{version} {digest_of({*code, *shown}, root)}".encode()).hexdigest()


def reached(starts: Iterable[Path], root: Path) -> set[Path]:
    """Modules of ours that ``starts`` import, directly or through each other, with them.

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
            left += [path for name in _imports(file.read_bytes()) if (path := _module(name, root)) is not None]
    return found


@cache
def _imports(code: bytes) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(code)):
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
