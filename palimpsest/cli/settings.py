"""Settings of editors given by ``--set``, and by the files of ``--preset``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from palimpsest.harness.errors import ConfigError, UsageError
from palimpsest.harness.specs.composition import HOST
from palimpsest.harness.specs.suite import EditorChoice


def preset_settings(words: Sequence[str]) -> dict[str, Any]:
    """The values of preset files, each field with its editor in front, as `with_settings` wants them.

    Args:
        words: ``EDITOR=FILE`` of each.

    Raises:
        UsageError: Words are of another form, or there is no such file.
        ConfigError: A file is no TOML.
    """
    found: dict[str, Any] = {}
    for word in words:
        editor, equals, name = (part.strip() for part in word.partition("="))
        if not editor or not equals or not name:
            raise UsageError(f"--preset {word}: expected EDITOR=FILE, as alphaedit=presets/alphaedit/llama3-8b.toml.")
        try:
            values = tomllib.loads(Path(name).read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"--preset {name}: {error.strerror}.") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"--preset {name}: not valid TOML: {error}.") from error
        found |= {f"{editor}.{field}": value for field, value in values.items()}
    return found


def with_settings(
    editors: Sequence[EditorChoice], settings: Mapping[str, Any], flag: str = "--set"
) -> tuple[EditorChoice, ...]:
    """The editors with further config values.

    Args:
        editors: The suite's choice.
        settings: ``field`` → value for all of the editors, ``editor.field`` → value for one of them; a field of a
            filter's host is ``host.field``.
        flag: Where they come from, for messages.

    Raises:
        ConfigError: A setting names an editor that is not among them.
    """
    names = [choice.name for choice in editors]
    owners = {key: max((n for n in names if key.startswith(f"{n}.")), key=len, default=None) for key in settings}
    fields = {key: key.removeprefix(f"{owner}.").split(".") for key, owner in owners.items()}
    strangers = [key for key, path in fields.items() if any(part != HOST for part in path[:-1])]
    if strangers:
        raise ConfigError(
            "\n".join(
                f"{flag} {key}: {key.rpartition('.')[0]!r} is not among the editors {', '.join(names)}."
                for key in strangers
            )
        )
    chosen = []
    for choice in editors:
        values: dict[str, Any] = dict(choice.set)
        for key, value in settings.items():
            if owners[key] in (None, choice.name):
                values = _with(values, fields[key], value)
        chosen.append(choice.model_copy(update={"set": values}))
    return tuple(chosen)


def _with(values: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """The values with the one at ``path`` replaced; nothing is changed in place."""
    name, *rest = path
    inner = values.get(name)
    return {**values, name: _with(inner if isinstance(inner, Mapping) else {}, rest, value) if rest else value}
