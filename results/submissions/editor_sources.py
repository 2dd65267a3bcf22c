"""The source of installed editors, as a hash: which code made a result, also where nobody counts up a version."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from palimpsest.harness.errors import EditorError
from palimpsest.harness.plugins.compositions import complete
from palimpsest.harness.plugins.entry_points import EditorEntry, find_entry
from palimpsest.harness.system.source_digest import digest_of


@dataclass(frozen=True, slots=True)
class EditorSource:
    """One editor of a composition, by where its code comes from."""

    name: str
    distribution: str
    version: str
    sha256: str
    """Over names and contents of all Python files of the package that the editor's module is in."""


def editor_sources(composition: str) -> list[EditorSource]:
    """The sources of every editor in ``composition``, outermost first.

    Raises:
        UsageError: One of them is not installed.
        EditorError: One cannot be imported, or its source files are not to be found.
    """
    found = []
    for name, _ in complete(composition):
        entry = find_entry(name)
        found.append(EditorSource(name, entry.distribution, entry.version, package_hash(entry)))
    return found


def package_hash(entry: EditorEntry) -> str:
    """SHA-256 over names and contents of the Python files of an editor's package; nothing of it is imported.

    Raises:
        EditorError: Its source files are not there.
    """
    module = entry.target.partition(":")[0]
    spec = find_spec(module.rpartition(".")[0] or module)
    if spec is None or not spec.origin:
        raise EditorError(f"Editor {entry.name!r}: the source of {module} is not to be found, so it has no hash.")
    origin = Path(spec.origin)
    folder = origin.parent
    files = sorted(folder.rglob("*.py")) if spec.submodule_search_locations else [origin]
    return digest_of(files, folder)
