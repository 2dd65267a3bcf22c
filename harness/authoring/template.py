"""The skeleton of a plugin: a small package with one editor that works as it is."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template

from palimpsest.harness.errors import MissingResource, UsageError
from palimpsest.harness.plugins.entry_points import available_editors
from palimpsest.harness.system.atomic_files import atomic_write_text

_SKELETON = Path(__file__).parent / "skeleton"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 60


def write_package(name: str, into: Path) -> list[Path]:
    """Write the package of an editor into a new folder ``into / name``.

    Args:
        name: Of the editor and of its distribution: lower-case words with hyphens between them.
        into: An existing folder.

    Returns:
        The files, as they should be read.

    Raises:
        UsageError: The name is none, or is taken, or there is such a folder already.
        MissingResource: The folder cannot be written.
    """
    package = _checked(name)
    folder = into / name
    if folder.exists():
        raise UsageError(f"{folder} is there already. Choose another name, or another place with --into.")
    words = {"name": name, "package": package, "class_name": "".join(word.title() for word in name.split("-"))}
    files = {
        "README.md": "README.md",
        "pyproject.toml": "pyproject.toml",
        f"{package}/__init__.py": None,
        f"{package}/editor.py": "editor.py",
        "tests/test_editor.py": "test_editor.py",
    }
    written = []
    try:
        for place, source in files.items():
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            text = "" if source is None else (_SKELETON / f"{source}.txt").read_text(encoding="utf-8")
            atomic_write_text(path, Template(text).substitute(words))
            written.append(path)
    except OSError as error:
        raise MissingResource(f"{folder} cannot be written: {error.strerror}. Choose a place with --into.") from error
    return written


def _checked(name: str) -> str:
    """The name of the Python package that goes with an editor's name."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise UsageError(
            f"Editor name {name!r}: expected lower-case words of letters and digits with hyphens between them, at most "
            f"{_LONGEST} characters, for example my-editor."
        )
    package = name.replace("-", "_")
    if keyword.iskeyword(package) or package in ("palimpsest", "test", "tests", "presets"):
        raise UsageError(f"Editor name {name!r}: {package} cannot be the name of a Python package here.")
    taken = {entry.name: entry.distribution for entry in available_editors()}
    if name in taken:
        raise UsageError(f"Editor name {name!r} is taken by {taken[name]}. Choose another.")
    return package
