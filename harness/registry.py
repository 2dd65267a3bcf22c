"""Editors by name, from entry points: found without importing them, imported on first use."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import ValidationError

from palimpsest.harness.editor import Editor, EditorConfig
from palimpsest.harness.errors import ConfigError, EditorError, unknown_name
from palimpsest.harness.problems import describe

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
    found = {_entry(point) for point in entry_points(group=GROUP)}
    kept = [entry for entry in found if not allowed or _normal(entry.distribution) in allowed]
    return sorted(kept, key=lambda entry: (entry.name, entry.distribution, entry.target))


def find_editor(name: str) -> EditorEntry:
    """The one installed editor called ``name``.

    Raises:
        UsageError: There is none; names the near ones.
        EditorError: Several distributions, or several lines of one, bring an editor of this name.
    """
    by_name: dict[str, list[EditorEntry]] = defaultdict(list)
    for entry in available_editors():
        by_name[entry.name].append(entry)
    entries = by_name.get(name, [])
    if not entries:
        restricted = os.environ.get(RESTRICTION)
        how = f"{_LIST} ({RESTRICTION}={restricted} restricts them)" if restricted else _LIST
        raise unknown_name("Editor", name, by_name, how)
    if len(entries) > 1:
        origins = " and ".join(f"{e.distribution} {e.version} ({e.target})" for e in entries)
        raise EditorError(
            f"Editor {name!r} comes from {origins}. Uninstall one of them, or allow one with {RESTRICTION}."
        )
    return entries[0]


def load_editor_class(name: str) -> type[Editor]:
    """Import the editor called ``name``.

    Raises:
        UsageError: There is none.
        EditorError: Its name is taken twice, it cannot be imported, or it is no `Editor`.
    """
    entry = find_editor(name)
    try:
        loaded = EntryPoint(name=name, value=entry.target, group=GROUP).load()
    except Exception as error:
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


def build_editor(name: str, config: Mapping[str, Any]) -> Editor:
    """A new editor called ``name``, with exactly this configuration.

    Raises:
        UsageError: There is no such editor.
        ConfigError: The configuration does not fit; lists every problem.
        EditorError: The editor cannot be imported or made.
    """
    cls = load_editor_class(name)
    validated = _validated(cls, name, config, origin="")
    try:
        return cls(validated)
    except Exception as error:
        raise EditorError(f"Editor {name!r} cannot be made: {type(error).__name__}: {error}") from error


def resolve_config(name: str, model_name: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The complete configuration of an editor for a model: its preset, changed by ``overrides``, with its defaults.

    Args:
        name: A registered editor.
        model_name: Chooses the preset.
        overrides: Field → value; texts are also tried as JSON, as ``--set`` gives them.

    Returns:
        Every field with its value, as JSON types.

    Raises:
        UsageError: There is no such editor.
        ConfigError: A field or value does not fit, or is missing where the model has no preset; lists every problem.
    """
    from palimpsest.editors.presets import load_preset

    cls = load_editor_class(name)
    preset = load_preset(name, model_name)
    given = {**(preset or {}), **{key: _typed(cls, key, value) for key, value in overrides.items()}}
    origin = "" if preset is not None else f" There is no preset of {name} for {model_name}; give fields with --set."
    config: dict[str, Any] = _validated(cls, name, given, origin=origin).model_dump(mode="json")
    return config


def _validated(cls: type[Editor], name: str, given: Mapping[str, Any], *, origin: str) -> EditorConfig:
    try:
        return cls.Config(**given)
    except ValidationError as error:
        lines = describe(error, cls.Config, lambda path: ".".join(map(str, (name, *path))))
        raise ConfigError("\n".join(lines) + origin) from error


def _typed(cls: type[Editor], key: str, value: Any) -> Any:
    """A text as the JSON value it spells, unless the field wants text."""
    field = cls.Config.model_fields.get(key)
    if not isinstance(value, str) or (field is not None and field.annotation is str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _entry(point: EntryPoint) -> EditorEntry:
    distribution = point.dist
    name = distribution.name if distribution is not None else "unknown"
    version = distribution.version if distribution is not None else "unknown"
    return EditorEntry(point.name, name, version, point.value)


def _normal(distribution: str) -> str:
    return distribution.strip().lower().replace("_", "-").replace(".", "-")
