"""The presets of installed editors by name, for tests that go through all of them."""

from __future__ import annotations

from typing import Any

from palimpsest.harness.plugins import presets
from palimpsest.harness.plugins.entry_points import load_class


def load_preset(editor_name: str, model_name: str) -> dict[str, Any] | None:
    """The preset of an installed editor for a model; None if there is none."""
    return presets.load_preset(editor_name, model_name, load_class(editor_name).__module__)


def preset_models(editor_name: str) -> list[str]:
    """Names of the models that an installed editor has presets for."""
    folder = presets.presets_folder(load_class(editor_name).__module__)
    assert folder is not None
    return sorted(path.stem for path in (folder / editor_name).glob("*.toml"))
