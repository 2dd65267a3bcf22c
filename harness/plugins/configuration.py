"""Editors and compositions of editors: their classes, their complete configurations, and the editors themselves.

The configuration of a composition holds the outermost editor's own fields and, under ``host``, that of its host.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import ValidationError

from palimpsest.harness.editor import Editor, EditorConfig
from palimpsest.harness.errors import ConfigError, EditorError
from palimpsest.harness.model.catalogue import registered_models
from palimpsest.harness.plugins.compositions import complete
from palimpsest.harness.plugins.entry_points import EditorEntry, find_entry
from palimpsest.harness.plugins.presets import load_preset, preset_name
from palimpsest.harness.specs.composition import HOST, parse, spell
from palimpsest.harness.system.validation_messages import describe, shown

_NO_PRESET = (
    " There is no preset of {editor} for {model}; give fields with --set, or make presets: palimpsest locate {typed}, "
    "then palimpsest tune --all --model {typed}."
)
_Parts = Sequence[tuple[str, type[Editor]]]


def find_editor(text: str) -> EditorEntry:
    """The installed editor called ``text``; for a composition all that it names, those of several origins with ``+``.

    Raises:
        UsageError: One of them is not there; names the near ones.
        EditorError: Several distributions, or several lines of one, bring an editor of this name.
    """
    entries = [find_entry(name) for name in parse(text)]
    origins = dict.fromkeys((entry.distribution, entry.version) for entry in entries)
    return EditorEntry(
        name=spell([entry.name for entry in entries]),
        distribution=" + ".join(distribution for distribution, _ in origins),
        version=" + ".join(version for _, version in origins),
        target=spell([entry.target for entry in entries]),
    )


def load_editor_class(text: str) -> type[Editor]:
    """Import the editor called ``text``; for a composition all that it names, and give the outermost.

    Raises:
        UsageError: There is none, or it takes no host.
        EditorError: A name is taken twice, cannot be imported, or is no `Editor`.
    """
    return complete(text)[0][1]


def build_editor(text: str, config: Mapping[str, Any]) -> Editor:
    """A new editor or composition, with exactly this configuration.

    Raises:
        UsageError: There is no such editor.
        ConfigError: The configuration does not fit; lists every problem.
        EditorError: An editor cannot be imported or made.
    """
    parts = complete(text)
    editor: Editor | None = None
    for (name, cls), own in reversed(list(zip(parts, _validated(parts, _by_part(parts, config)), strict=True))):
        try:
            editor = cls(own) if editor is None else cls(own, editor)  # type: ignore[call-arg]  # a Filter: `complete`
        except (Exception, SystemExit) as error:
            raise EditorError(f"Editor {name!r} cannot be made: {type(error).__name__}: {error}") from error
    assert editor is not None
    return editor


def resolve_config(text: str, model_name: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The complete configuration of an editor for a model: its preset, changed by ``overrides``, with its defaults.

    Args:
        text: A registered editor, or a composition; each editor in it has its own preset.
        model_name: Chooses the presets.
        overrides: Field → value; texts are also tried as JSON, as ``--set`` gives them. ``host`` → those of the host.

    Returns:
        Every field with its value, as JSON types; a composition's host under ``host``.

    Raises:
        UsageError: There is no such editor.
        ConfigError: A field or value does not fit, or is missing where the model has no preset; lists every problem.
    """
    parts = complete(text)
    presets = [load_preset(name, model_name, cls.__module__) for name, cls in parts]
    rows = list(zip(parts, presets, _by_part(parts, overrides), strict=True))
    given = [(preset or {}) | {key: _typed(cls, key, own[key]) for key in own} for (_, cls), preset, own in rows]
    typed = model_name if model_name in registered_models() else "MODEL"  # others' names do not say where they are
    lacking = partial(_NO_PRESET.format, model=model_name, typed=typed)
    advice = ["" if preset is not None else lacking(editor=name) for (name, _), preset, _ in rows]
    by_preset = [
        {key: preset_name(name, model_name) for key in set(preset or {}) - set(own)} for (name, _), preset, own in rows
    ]
    config: dict[str, Any] | None = None
    for own in reversed(_validated(parts, given, advice, by_preset)):
        config = own.model_dump(mode="json") | ({} if config is None else {HOST: config})
    return config or {}


def without_host(text: str, config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The outermost editor's own fields of a complete configuration, and its host's; None for an editor without one."""
    if len(parse(text)) == 1:
        return dict(config), None
    return {name: value for name, value in config.items() if name != HOST}, dict(config[HOST])


def _by_part(parts: _Parts, nested: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The fields of each part of a composition, outermost first, out of those that are nested under ``host``.

    Raises:
        ConfigError: What stands under ``host`` is no set of fields.
    """
    fields = []
    for depth in range(len(parts) - 1):
        inner = nested.get(HOST, {})
        if not isinstance(inner, Mapping):
            raise ConfigError(f"{_place(parts, depth, [HOST])}: expected fields with values, got {shown(inner)}.")
        fields.append({key: value for key, value in nested.items() if key != HOST})
        nested = inner
    return [*fields, dict(nested)]


def _validated(
    parts: _Parts,
    given: Sequence[Mapping[str, Any]],
    advice: Sequence[str] | None = None,
    by_preset: Sequence[Mapping[str, str]] | None = None,
) -> list[EditorConfig]:
    """The configuration of each part, outermost first, from the fields given for each.

    ``advice`` ends the message about a part that has problems; ``by_preset`` names the preset's file that gave a field.
    """
    configs: list[EditorConfig] = []
    problems: list[str] = []
    for depth, ((_, cls), fields) in enumerate(zip(parts, given, strict=True)):
        try:
            configs.append(cls.Config(**fields))
        except ValidationError as error:
            files = by_preset[depth] if by_preset else {}
            lines = describe(error, cls.Config, partial(_place, parts, depth, files=files))
            problems.append("\n".join(lines) + (advice[depth] if advice else ""))
    if problems:
        raise ConfigError("\n".join(problems))
    return configs


def _place(parts: _Parts, depth: int, path: Sequence[str | int], *, files: Mapping[str, str] | None = None) -> str:
    """``revive(memit).host.layers`` for field ``layers`` of the part at depth 1, and the preset that gave it."""
    field = ".".join([spell([name for name, _ in parts]), *[HOST] * depth, *map(str, path)])
    file = (files or {}).get(str(path[0])) if path else None
    return field if file is None else f"{file}, {field}"


def _typed(cls: type[Editor], key: str, value: Any) -> Any:
    """A text as the JSON value it spells, unless the field wants text."""
    field = cls.Config.model_fields.get(key)
    if not isinstance(value, str) or (field is not None and field.annotation is str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
