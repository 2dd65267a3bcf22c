"""The skeleton of a plugin: a small package with one editor that works as it is."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Mapping
from importlib.metadata import distributions, packages_distributions, requires
from importlib.util import find_spec
from pathlib import Path
from string import Template

from palimpsest.harness.errors import MissingResource, UsageError, unknown_name
from palimpsest.harness.plugins.entry_points import available_editors
from palimpsest.harness.system.atomic_files import atomic_write_text
from palimpsest.harness.system.environment import DISTRIBUTION

_SKELETON = Path(__file__).parent / "skeleton"
KINDS: Mapping[str, str] = {
    "pipeline": "an update of down-projections in closed form, on the shared locate-then-edit pipeline",
    "weights": "gradient descent on any weights, here of attention and MLP",
    "memory": "a memory beside the model that answers through a hook; no weight changes",
}
"""Kinds of skeletons, each a folder with an editor and its test."""
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 60


def write_package(name: str, into: Path, kind: str = "pipeline") -> list[Path]:
    """Write the package of an editor into a new folder ``into / name``; the files, as they should be read.

    Args:
        name: Of the editor and of its distribution: lower-case words with hyphens between them.
        into: An existing folder.
        kind: One of `KINDS`.

    Raises:
        UsageError: The name is none, is taken or hides something, there is no such kind, or the folder is there.
        MissingResource: The folder cannot be written.
    """
    if kind not in KINDS:
        raise unknown_name("Kind of editor", kind, KINDS, "palimpsest new-editor --help")
    package = _checked(name)
    folder = into / name
    if folder.exists():
        raise UsageError(f"{folder} is there already. Choose another name, or another place with --into.")
    words = {"name": name, "package": package, "class_name": "".join(word.title() for word in name.split("-"))}
    files = {
        "README.md": "README.md",
        "pyproject.toml": "pyproject.toml",
        f"{package}/__init__.py": None,
        f"{package}/editor.py": f"{kind}/editor.py",
        "tests/test_editor.py": f"{kind}/test_editor.py",
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
    hidden = _hidden_by(name, package)
    if hidden:
        raise UsageError(f"Editor name {name!r}: {hidden}. Choose another, for example my-{name}.")
    return package


def _hidden_by(name: str, package: str) -> str:
    """The harm, in words, that a distribution ``name`` with this package would do to others; empty if none."""
    if package in sys.stdlib_module_names:
        return f"its package would hide Python's own module {package}"
    if package in packages_distributions() or _is_module(package):
        return f"its package would hide the installed module {package}"
    if any(_normal(found.name) == _normal(name) for found in distributions()):
        return f"installing it would replace the installed distribution {name}"
    wanted = {_normal(re.split(r"[^\w.-]", text)[0]) for text in requires(DISTRIBUTION) or ()}
    if _normal(name) in wanted:
        return f"Palimpsest itself asks for a distribution {name}"
    return ""


def _is_module(package: str) -> bool:
    """True if Python finds such a module; a folder that merely lies in the way is none."""
    spec = find_spec(package)
    return spec is not None and spec.origin is not None


def _normal(distribution: str) -> str:
    """A distribution's name as indexes compare names."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
