"""Shipped hyperparameters: one TOML file per editor and model, each value with its source beside it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from palimpsest.harness.errors import ConfigError

_FOLDER = Path(__file__).parent / "presets"


def load_preset(editor_name: str, model_name: str) -> dict[str, Any] | None:
    """The preset of an editor for a model, as keyword arguments of its Config; None if there is none.

    Raises:
        ConfigError: The file is not valid TOML.
    """
    path = _FOLDER / editor_name / f"{model_name}.toml"
    if path.parent.parent != _FOLDER or path.name not in (file.name for file in path.parent.glob("*.toml")):
        return None
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}.") from error


def preset_models(editor_name: str) -> list[str]:
    """Names of the models that an editor has presets for."""
    return sorted(path.stem for path in (_FOLDER / editor_name).glob("*.toml"))
