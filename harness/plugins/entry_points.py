"""Single editors by name, from entry points: found without importing them, imported on first use."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from palimpsest.harness.editor import Editor, EditorConfig
from palimpsest.harness.errors import EditorError, unknown_name
from palimpsest.harness.system.environment import DISTRIBUTION

GROUP = "palimpsest.editors"
RESTRICTION = "PALIMPSEST_PLUGINS"
"""Environment variable: comma-separated distributions whose editors may load; empty or unset: all."""
_LIST = "palimpsest list editors"


@dataclass(frozen=True, slots=True)
class EditorEntry:
    """An installed editor, as the metadata of its distribution tell; nothing was imported."""

    name: str
    distribution: str
    version: str
    target: str
    """Module and class, ``package.module:Class``."""


def available_editors() -> list[EditorEntry]:
    """Every installed editor that may load, sorted by name; two entries of one name are both in it."""
    allowed = {_normal(name) for name in os.environ.get(RESTRICTION, "").split(",") if name.strip()}
    places = tuple((place, Path(place).stat().st_mtime_ns if Path(place).is_dir() else 0) for place in sys.path)
    kept = [entry for entry in _installed(places) if not allowed or _normal(entry.distribution) in allowed]
    return sorted(kept, key=lambda entry: (entry.name, entry.distribution, entry.target))


def find_entry(name: str) -> EditorEntry:
    """The one installed editor called ``name``.

    Raises:
        UsageError: There is none; names the near ones.
        EditorError: Several distributions, or several lines of one, bring an editor of this name, and it is none of
            ours: a built-in editor goes before plugins of its name (see `misnamed`).
    """
    by_name: dict[str, list[EditorEntry]] = defaultdict(list)
    for entry in available_editors():
        by_name[entry.name].append(entry)
    entries = by_name.get(name, [])
    if not entries:
        how = f"{_LIST} ({RESTRICTION} restricts them)" if os.environ.get(RESTRICTION) else _LIST
        raise unknown_name("Editor", name, by_name, how)
    entries = [entry for entry in entries if entry.distribution == DISTRIBUTION][:1] or entries
    if len(entries) > 1:
        origins = " and ".join(f"{e.distribution} {e.version} ({e.target})" for e in entries)
        raise EditorError(
            f"Editor {name!r} comes from {origins}. Uninstall one of them, or allow one with {RESTRICTION}."
        )
    return entries[0]


def misnamed() -> list[str]:
    """A message for each plugin that is named like a built-in editor, and so is not used."""
    entries = available_editors()
    built_in = {entry.name for entry in entries if entry.distribution == DISTRIBUTION}
    return [
        f"Editor {entry.name!r} of {entry.distribution} {entry.version} ({entry.target}) is not used: a built-in "
        "editor has this name. Its authors should rename it."
        for entry in entries
        if entry.name in built_in and entry.distribution != DISTRIBUTION
    ]


def load_class(name: str) -> type[Editor]:
    """Import the editor called ``name``.

    Raises:
        UsageError: There is none.
        EditorError: Its name is taken twice, it cannot be imported, or it is no `Editor`.
    """
    entry = find_entry(name)
    try:
        loaded = EntryPoint(name=name, value=entry.target, group=GROUP).load()
    except (Exception, SystemExit) as error:
        raise EditorError(
            f"Editor {name!r} of {entry.distribution} {entry.version} cannot be imported from {entry.target}: "
            f"{type(error).__name__}: {error}. Other editors are not affected. Reinstall or report to its authors."
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Editor)):
        raise EditorError(
            f"Editor {name!r} of {entry.distribution} {entry.version}: {entry.target} is not a subclass of "
            "palimpsest.harness.editor.Editor."
        )
    if not isinstance(getattr(loaded, "Config", None), type) or not issubclass(loaded.Config, EditorConfig):
        raise EditorError(
            f"Editor {name!r} of {entry.distribution} {entry.version}: {entry.target} lacks a class Config that "
            "derives from palimpsest.harness.editor.EditorConfig."
        )
    return loaded


@lru_cache(maxsize=8)
def _installed(places: tuple[tuple[str, int], ...]) -> frozenset[EditorEntry]:
    """All installed editors, read again when the import path or a folder on it (with its time) is another."""
    origins = ((point, point.dist) for point in entry_points(group=GROUP))
    told = ((point, (dist.name, dist.version) if dist else ("unknown", "unknown")) for point, dist in origins)
    return frozenset(EditorEntry(point.name, *origin, point.value) for point, origin in told)


def _normal(distribution: str) -> str:
    return distribution.strip().lower().replace("_", "-").replace(".", "-")
