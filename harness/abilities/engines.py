"""Engines by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.harness.abilities.engine import Engine
from palimpsest.harness.abilities.hf_engine import HfEngine
from palimpsest.harness.errors import UsageError, unknown_name
from palimpsest.harness.model.placement import ENGINES

if TYPE_CHECKING:
    from pathlib import Path

    from palimpsest.harness.model.editable import EditableModel


def make_engine(name: str, model: EditableModel, folder: Path | None) -> Engine:
    """The engine of this name, one of `ENGINES`, for a model in memory.

    ``folder`` holds the model's files; engines that load it themselves need them.
    """
    if name == "hf":
        return HfEngine(model)
    if name == "vllm":
        from palimpsest.harness.abilities.vllm_engine import VllmEngine

        if folder is None:
            raise UsageError("Engine vllm loads a model from its folder; this model has none.")
        return VllmEngine(model, folder)
    raise unknown_name("Engine", name, ENGINES, "palimpsest run --help")
