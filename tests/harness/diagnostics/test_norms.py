from __future__ import annotations

import math

import pytest
import torch

from palimpsest.harness.diagnostics.norms import weight_norms
from palimpsest.harness.scoring.canary import canary, canary_drift
from tests.labs.tiny_models import tiny_model


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_norms_of_written_weights(architecture: str) -> None:
    model = tiny_model(architecture)
    names = [model.anatomy.weight_name(layer) for layer in (1, 2)]
    before = model.weight(1).clone()
    update = torch.randn(before.shape, generator=torch.Generator().manual_seed(0))
    model.add_update(1, update)
    found = {(d.name, d.layer): d.value for d in weight_norms(model, names)}
    assert found.keys() == {(kind, layer) for kind in ("weight_norm", "update_norm") for layer in (1, 2)}
    assert found["weight_norm", 1] == pytest.approx(float((before + update).norm()), rel=1e-6)
    assert found["update_norm", 1] == pytest.approx(float(update.norm()), rel=1e-5)
    assert found["update_norm", 2] == 0


def test_other_parameters_carry_their_name() -> None:
    model = tiny_model("gpt2")
    bias = "transformer.h.1.mlp.c_proj.bias"
    assert [(d.name, d.layer) for d in weight_norms(model, [bias])] == [
        (f"weight_norm:{bias}", None),
        (f"update_norm:{bias}", None),
    ]


def test_canary_sees_changes_and_nothing_else() -> None:
    model = tiny_model("llama")
    before = canary(model)
    assert before == canary(model) and canary_drift(before, canary(tiny_model("llama"))) == 0
    model.add_update(1, torch.full_like(model.weight(1), 0.05))
    assert canary_drift(before, canary(model)) > 1e-4
    model.add_update(1, torch.full_like(model.weight(1), math.inf))
    assert canary_drift(before, canary(model)) == math.inf
