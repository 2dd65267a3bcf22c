"""Hyperparameters that come with an editor: one TOML file per editor and model, each value with its source beside it.

They lie in ``presets/EDITOR/MODEL.toml`` beside the module that the editor's class is in; a third-party package brings
its own in the same way.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

from palimpsest.harness.errors import ConfigError

_FOLDER = Path(__file__).resolve().parents[2] / "editors" / "presets"


def load_preset(editor_name: str, model_name: str, module: str | None = None) -> dict[str, Any] | None:
    """The preset of an editor for a model, as keyword arguments of its Config; None if there is none.

    Args:
        editor_name: As it is registered.
        model_name: As in the model registry.
        module: The imported module that the editor's class is in; None: a built-in one.

    Raises:
        ConfigError: The file is not valid TOML.
    """
    file = None if module is None else getattr(sys.modules.get(module), "__file__", None)
    folder = _FOLDER if file is None else Path(file).parent / "presets"
    path = folder / editor_name / f"{model_name}.toml"
    if path.parent.parent != folder or path.name not in (file.name for file in path.parent.glob("*.toml")):
        return None
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}.") from error


def preset_models(editor_name: str) -> list[str]:
    """Names of the models that an editor has presets for."""
    return sorted(path.stem for path in (_FOLDER / editor_name).glob("*.toml"))
