"""What stands between the MLP and the residual stream is measured, and updates reach their targets through it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from palimpsest.editors.memit import Memit
from palimpsest.editors.rome import Rome
from palimpsest.editors.toolkit.keys import outputs_at, residual_stream_at
from palimpsest.editors.toolkit.requests import target_ids
from palimpsest.editors.toolkit.tails import measured_tail
from palimpsest.harness.errors import ConfigError
from palimpsest.harness.model import prompts
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.specs.cases import EditRequest
from tests.labs.post_norm_models import FACTOR, NORMED, OTHERS, model_of
from tests.labs.tiny_models import ARCHITECTURES, REQUESTS, tiny_model

EVERY = ("llama", "gptj", *NORMED, "granite")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LAYER = 1
TARGETS: dict[str, Any] = {
    "target_steps": 8,
    "target_learning_rate": 0.3,
    "target_weight_decay": 0.0,
    "kl_factor": 0.0,
    "statistics_tokens": 400,
}
BATCH = REQUESTS[:3]


def mean_nll(model: EditableModel, requests: tuple[EditRequest, ...]) -> float:
    """Mean over requests of the mean NLL of the target's tokens behind the prompt, by plain passes."""
    found = []
    for request in requests:
        (sentence,) = prompts.sentences(model, [(request.prompt, request.subject)])
        target = target_ids(model, request)
        with torch.no_grad():
            logits = model.model(torch.tensor([[*sentence.ids, *target]])).logits[0].float()
        log_p = logits[len(sentence.ids) - 1 : -1].log_softmax(-1)
        found.append(-float(log_p.gather(1, torch.tensor(target)[:, None]).mean()))
    return sum(found) / len(found)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("architecture", [*ARCHITECTURES, *OTHERS])
def test_what_stands_behind_the_mlp_is_measured(architecture: str, dtype: str) -> None:
    tail = measured_tail(model_of(architecture, DTYPES[dtype]), LAYER)
    assert tail.normed == (architecture in NORMED)
    assert tail.factor == (FACTOR if architecture == "granite" else 1.0)
    assert tail.plain == (architecture not in (*NORMED, "granite"))


@pytest.mark.parametrize("architecture", EVERY)
def test_one_layer_of_memit_reaches_its_target_whatever_stands_behind_the_mlp(architecture: str) -> None:
    model = model_of(architecture)
    editor = Memit(Memit.Config(**TARGETS, layers=(LAYER,), second_moment_weight=1e-9, clamp_norm_factor=1.5))
    editor.prepare(model)
    before = mean_nll(model, BATCH)
    values = editor.edit(BATCH).values
    assert values["target_error_after"] < 0.01 * values["target_error_before"]
    assert values["loss_last"] < values["loss_first"] == pytest.approx(before, rel=1e-4)
    assert mean_nll(model, BATCH) < before


@pytest.mark.parametrize("architecture", EVERY)
def test_rome_moves_the_stream_by_what_its_target_did_whatever_stands_behind_the_mlp(architecture: str) -> None:
    model = model_of(architecture)
    editor = Rome(Rome.Config(**TARGETS, layer=LAYER))
    editor.prepare(model)
    tail, before = measured_tail(model, LAYER), mean_nll(model, BATCH[:1])
    output, stream = outputs_at(model, BATCH[:1], LAYER), residual_stream_at(model, BATCH[:1], LAYER)
    values = editor.edit(BATCH[:1]).values
    change = outputs_at(model, BATCH[:1], LAYER) - output
    assert float(change.norm()) == pytest.approx(values["target_norm"], rel=1e-3)
    moved = residual_stream_at(model, BATCH[:1], LAYER) - stream
    torch.testing.assert_close(moved.T, tail.moved(output.T, change.T), atol=1e-4, rtol=1e-3)
    assert values["loss_last"] < values["loss_first"] == pytest.approx(before, rel=1e-4)
    assert mean_nll(model, BATCH[:1]) < before


@pytest.mark.parametrize("architecture", ["gemma2", "olmo2", "granite"])
def test_several_layers_come_nearer_than_an_update_that_ignores_the_norm(architecture: str) -> None:
    left = []
    for ignored in (False, True):
        model = model_of(architecture)
        editor = Memit(Memit.Config(**TARGETS, layers=(0, LAYER), second_moment_weight=1e-9, clamp_norm_factor=1.5))
        editor.prepare(model)
        if ignored:
            editor.tails = dict.fromkeys(editor.tails, measured_tail(tiny_model("llama"), LAYER))
        values = editor.edit(BATCH).values
        left.append(values["target_error_after"] / values["target_error_before"])
    assert left[0] < 0.15 and left[0] < left[1] / 2


def test_what_cannot_be_followed_backwards_is_refused_with_the_reason() -> None:
    model = tiny_model("llama")
    mlp = model.module(f"{model.anatomy.block(LAYER)}.mlp")
    mlp.register_forward_hook(lambda module, inputs, output: output.tanh())
    editor = Memit(Memit.Config(**TARGETS, layers=(LAYER,), second_moment_weight=1.0))
    with pytest.raises(ConfigError, match=r"tiny-llama .*block 1's down-projection does not reach .*\(ft, ft-l\)"):
        editor.prepare(model)
