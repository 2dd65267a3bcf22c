"""Settings of editors given by ``--set``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from palimpsest.harness.errors import ConfigError
from palimpsest.harness.specs.composition import HOST
from palimpsest.harness.specs.suite import EditorChoice


def with_settings(editors: Sequence[EditorChoice], settings: Mapping[str, Any]) -> tuple[EditorChoice, ...]:
    """The editors with further config values.

    Args:
        editors: The suite's choice.
        settings: ``field`` → value for all of the editors, ``editor.field`` → value for one of them; a field of a
            filter's host is ``host.field``.

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
                f"--set {key}: {key.rpartition('.')[0]!r} is not among the editors {', '.join(names)}."
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
