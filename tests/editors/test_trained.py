from __future__ import annotations

import pytest
import torch

from palimpsest.editors.toolkit import trained
from palimpsest.harness.model.editable import EditableModel
from tests.labs.tiny_models import tiny_model

SENTENCES = [[0, 9, 10, 11, 12, 13], [0, 9, 10, 11, 40], [0, 50, 51], [0, 9, 10, 11, 12, 13]]
READS = [(0, 5), (0, 3), (1, 4), (2, 2), (2, 2), (3, 5)]
"""A position that two sentences share, one that is read twice, and a sentence that is there twice."""


def passed(model: EditableModel, layer: int, *, plain: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits with a moved weight, and their slope for it."""
    weight = model.model.get_parameter(model.anatomy.weight_name(layer))
    start = weight.detach().clone()
    with torch.no_grad():
        logits = trained.logits_of(model, layer, [weight], SENTENCES, READS, plain=plain)
        weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(3)))
    weight.requires_grad_(True)
    try:
        found = logits()
        (slope,) = torch.autograd.grad(found.log_softmax(1)[:, 5].sum(), weight)
    finally:
        weight.requires_grad_(False).copy_(start)
    return found.detach(), slope


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gpt2", "gptj"])
@pytest.mark.parametrize("layer", [0, 1, 3])
def test_what_is_computed_once_changes_nothing(architecture: str, layer: int) -> None:
    model = tiny_model(architecture)
    assert trained.adds_plainly(model, layer)
    quick, slow = (passed(model, layer, plain=plain) for plain in (True, False))
    torch.testing.assert_close(quick[0], slow[0], rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(quick[1], slow[1], rtol=1e-3, atol=1e-4)


def test_an_mlp_behind_a_norm_is_not_added_plainly() -> None:
    assert not trained.adds_plainly(tiny_model("gemma2"), 1)
