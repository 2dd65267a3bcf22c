"""What the host learns from a device costs waiting there: the target loop reads once per step."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from palimpsest.editors.toolkit.targets import search
from palimpsest.editors.toolkit.targets.search import TargetSettings, compute_targets
from tests.labs.tiny_models import REQUESTS, TEMPLATES, tiny_model

SETTINGS = TargetSettings(
    steps=6, learning_rate=0.2, weight_decay=0.5, clamp_norm_factor=2.0, kl_factor=0.0625, early_stop_loss=0.0
)
WAITING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::is_nonzero", "aten::equal"}


class HostReads(TorchDispatchMode):
    """Counts operations whose result the host must wait for on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        by_mask = name == "aten::index" and any(t is not None and t.dtype == torch.bool for t in args[1])
        if name in WAITING or by_mask:
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


def reads(steps: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Operations that wait, in the whole search, and transfers of what a step tells the host."""
    model = tiny_model("llama")
    compute_targets(model, REQUESTS, TEMPLATES, 1, SETTINGS)  # tried once per model
    looks = []
    look = search._Search.look

    def noted(self: Any, step: int) -> list[bool]:
        looks.append(step)
        return look(self, step)

    monkeypatch.setattr(search._Search, "look", noted)
    with HostReads() as counted:
        compute_targets(model, REQUESTS, TEMPLATES, 1, replace(SETTINGS, steps=steps))
    return counted.found.total(), len(looks)


def test_a_step_waits_for_the_device_once(monkeypatch: pytest.MonkeyPatch) -> None:
    few, _ = reads(3, monkeypatch)
    many, looks = reads(12, monkeypatch)
    assert looks == 12
    assert many == few  # beside the one transfer of each step, which `tolist` makes, nothing waits
