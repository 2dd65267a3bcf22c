"""Editors prepared on tiny random models with short target searches, and what became of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from palimpsest.harness.editor import Editor
from palimpsest.harness.model.editable import EditableModel
from tests.labs.tiny_models import tiny_model

TARGETS: dict[str, Any] = {
    "target_steps": 5,
    "target_learning_rate": 0.3,
    "clamp_norm_factor": 3.0,
    "statistics_tokens": 400,
}
LAYERS = TARGETS | {"layers": (0, 1)}
NULL = LAYERS | {"nullspace_threshold": 2.0, "ridge": 0.1}
NEURONS = LAYERS | {"second_moment_weight": 2.0, "error_threshold": 0.1, "error_limit": 1e9, "rounds": 1}
BOTH = pytest.mark.parametrize("architecture", ["llama", "gpt2"])
CLEAN = [["{}"]]


def prepared(kind: type[Any], config: dict[str, Any], architecture: str = "llama") -> Any:
    editor = kind(kind.Config(**config))
    editor.prepare(tiny_model(architecture))
    return editor


def change(model: EditableModel, layer: int) -> Tensor:
    """W_t − W_0, d_out × d_in."""
    return (model.weight(layer) - model.pristine_weight(layer)).double()


def bits(editor: Editor, model: EditableModel) -> list[Tensor]:
    return [*model.read_weights(editor.writes()).values()]


def same(first: Sequence[Tensor], second: Sequence[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
