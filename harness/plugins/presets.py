"""Hyperparameters that come with an editor: one TOML file per editor and model, each value with its source beside it.

They lie in ``presets/EDITOR/MODEL.toml`` beside the module of the editor's class, those of other packages, too.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

from palimpsest.harness.errors import ConfigError


def load_preset(editor_name: str, model_name: str, module: str) -> dict[str, Any] | None:
    """The preset of an editor for a model, as keyword arguments of its Config; None if there is none.

    Both names are those of the registries; ``module`` is the imported one that the editor's class is in.

    Raises:
        ConfigError: The file is not valid TOML.
    """
    folder = presets_folder(module)
    if folder is None:
        return None
    path = folder / editor_name / Path(preset_name(editor_name, model_name)).name
    # Names come from people, so that one with a slash in it must not lead out of the folder.
    if path.parent.parent != folder or path.name not in (file.name for file in path.parent.glob("*.toml")):
        return None
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{preset_name(editor_name, model_name)}: not valid TOML: {error}.") from error


def preset_name(editor_name: str, model_name: str) -> str:
    """The file of a preset, from the folder of the editor's module on; the slash of a hub id is ``--`` in it."""
    return f"presets/{editor_name}/{model_name.replace('/', '--')}.toml"


def presets_folder(module: str) -> Path | None:
    """The folder with the presets of the editors in an imported module, there or not; None for one without a file."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return None if file is None else Path(file).parent / "presets"
