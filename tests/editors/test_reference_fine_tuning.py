"""FT and FT-L as the published code has them, on both ways of storing an MLP, against a plain loop."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from palimpsest.editors.ft import FineTune
from palimpsest.editors.ft_l import FineTuneBoxed
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.specs.cases import EditRequest
from tests.labs.tiny_models import REQUESTS, tiny_model

LAYER, STEPS, RATE, CHUNK = 1, 6, 2e-3, 2
TEMPLATES = {"llama": "model.layers.{}.mlp.down_proj", "gpt2": "transformer.h.{}.mlp.c_proj"}
"""Of the published configurations; a parameter is trained if this is part of its name."""
BATCH = REQUESTS[:4]


def bag_loss(model: EditableModel, requests: list[EditRequest]) -> Tensor:
    """Minus the mean log-probability of all target tokens at the last token of the prompt, padding among them."""
    targets = [model.tokenizer(f" {request.target_new}")["input_ids"] for request in requests]
    longest = max(map(len, targets))
    losses = []
    for request, target in zip(requests, targets, strict=True):
        ids = model.tokenizer(request.prompt.format(request.subject), return_tensors="pt")["input_ids"]
        log_p = model.model(ids).logits[0, -1].log_softmax(dim=-1)
        filled = [*target, *[model.tokenizer.pad_token_id] * (longest - len(target))]
        losses.append(-log_p[torch.tensor(filled)].mean())
    return torch.stack(losses).mean()


def plainly_trained(architecture: str, box: float | None) -> dict[str, Tensor]:
    model = tiny_model(architecture)
    part = TEMPLATES[architecture].format(LAYER)
    weights = {name: p.requires_grad_(True) for name, p in model.model.named_parameters() if part in name}
    start = {name: value.detach().clone() for name, value in weights.items()}
    adam = torch.optim.Adam(list(weights.values()), lr=RATE)
    for _ in range(STEPS):
        for begin in range(0, len(BATCH), CHUNK):
            loss = bag_loss(model, list(BATCH[begin : begin + CHUNK]))
            if float(loss.detach()) >= 1e-2:
                adam.zero_grad()
                loss.backward()
                adam.step()
                with torch.no_grad():
                    for name, value in weights.items():
                        if box is not None:
                            value.clamp_(start[name] - box, start[name] + box)
    return {name: value.detach() for name, value in weights.items()}


def editor(box: float | None, **more: Any) -> FineTune | FineTuneBoxed:
    fields: dict[str, Any] = {"layer": LAYER, "steps": STEPS, "learning_rate": RATE, "chunk": CHUNK} | more
    if box is None:
        return FineTune(FineTune.Config(**fields))
    return FineTuneBoxed(FineTuneBoxed.Config(**fields, norm_constraint=box))


@pytest.mark.parametrize("box", [None, 3e-3])
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_the_parameters_that_the_published_code_trains_are_trained_on_both_forms(
    architecture: str, box: float | None
) -> None:
    model = tiny_model(architecture)
    ours = editor(box, reference_loss=True, reference_parameters=True)
    ours.prepare(model)
    before = model.read_weights(ours.writes())
    ours.edit(BATCH)
    expected = plainly_trained(architecture, box)
    assert set(ours.writes()) == set(expected)
    assert len(expected) == (2 if architecture == "gpt2" else 1)
    for name, value in expected.items():
        assert not torch.equal(value, before[name])
        torch.testing.assert_close(model.read_weights([name])[name], value, atol=2e-5, rtol=1e-4)


def test_no_bias_is_trained_unless_asked_for_and_the_default_leaves_no_trace_in_a_configuration() -> None:
    model = tiny_model("gpt2")
    plain = editor(None, reference_loss=True)
    plain.prepare(model)
    assert list(plain.writes()) == [model.anatomy.weight_name(LAYER)]
    assert "reference_parameters" not in plain.config.model_dump(mode="json")
    asked = editor(None, reference_parameters=True).config.model_dump(mode="json")
    assert asked["reference_parameters"] is True
