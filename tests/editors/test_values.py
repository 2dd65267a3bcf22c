from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks.plain_targets import plain_target
from palimpsest.editors.toolkit.targets.search import Targets, TargetSettings, compute_targets
from palimpsest.editors.toolkit.targets.splitting import suffixes_hold
from palimpsest.harness.errors import EditorError
from palimpsest.harness.model.editable import EditableModel
from tests.labs.tiny_models import ARCHITECTURES, REQUESTS, TEMPLATES, VARIANTS, tiny_model

SETTINGS = TargetSettings(
    steps=6, learning_rate=0.2, weight_decay=0.5, clamp_norm_factor=2.0, kl_factor=0.0625, early_stop_loss=0.05
)


def compare(model: EditableModel, found: Targets, layer: int, settings: TargetSettings) -> None:
    for number, request in enumerate(REQUESTS):
        z, loss, passes = plain_target(model, request, TEMPLATES, layer, settings)
        step = (z - found.start[:, number]).norm()
        # Rounding of z grows with its norm: a request that leaves at once has no step, and z differs by 1e-7 of ‖z‖.
        assert (found.z[:, number] - z).norm() <= 2e-4 * step + 1e-6 * z.norm().clamp_min(1.0), f"request {number}"
        assert float(found.loss_last[number, 0]) == pytest.approx(loss, rel=1e-4, abs=1e-5)
        assert int(found.passes[number]) == passes


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_batch_equals_the_plain_loop(architecture: str) -> None:
    model = tiny_model(architecture, bos=architecture != "gpt2")
    assert suffixes_hold(model, 1)
    compare(model, compute_targets(model, REQUESTS, TEMPLATES, 1, SETTINGS), 1, SETTINGS)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_batch_equals_the_plain_loop_on_variants_of_the_architectures(name: str) -> None:
    architecture, changes = VARIANTS[name]
    model = tiny_model(architecture, bos=len(name) % 2 == 0, **changes)
    assert suffixes_hold(model, 1)
    compare(model, compute_targets(model, REQUESTS, TEMPLATES, 1, SETTINGS), 1, SETTINGS)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_in_bfloat16_suffixes_differ_from_whole_sentences_by_rounding_only(architecture: str) -> None:
    exact = tiny_model(architecture)
    rounded = tiny_model(architecture, dtype=torch.bfloat16)
    assert suffixes_hold(rounded, 1)
    settings = replace(SETTINGS, steps=2)
    suffixes, whole, reference = (
        compute_targets(model, REQUESTS, TEMPLATES, 1, settings, whole=whole)
        for model, whole in ((rounded, False), (rounded, True), (exact, True))
    )
    noise = (whole.loss_first[:, 0] - reference.loss_first[:, 0]).abs().mean()
    assert (suffixes.loss_first[:, 0] - whole.loss_first[:, 0]).abs().mean() < 2 * noise
    assert suffixes.z.dtype == torch.float32


@pytest.mark.parametrize("layer", [0, 2])
def test_any_layer_below_the_last_block_may_be_the_last_edited(layer: int) -> None:
    model = tiny_model("llama")
    compare(model, compute_targets(model, REQUESTS, TEMPLATES, layer, SETTINGS), layer, SETTINGS)


@pytest.mark.parametrize("architecture", ["llama", "gptj", "gemma3"])
def test_whole_sentences_give_the_same_as_suffixes(architecture: str) -> None:
    model = tiny_model(architecture)
    suffixes = compute_targets(model, REQUESTS, TEMPLATES, 1, SETTINGS)
    whole = compute_targets(model, REQUESTS, TEMPLATES, 1, SETTINGS, whole=True)
    torch.testing.assert_close(suffixes.z, whole.z, rtol=1e-3, atol=1e-4)


def test_requests_leave_one_by_one_when_their_loss_is_low() -> None:
    model = tiny_model("llama")
    settings = replace(
        SETTINGS, steps=25, learning_rate=0.5, weight_decay=0.01, clamp_norm_factor=9.0, early_stop_loss=6.3
    )
    found = compute_targets(model, REQUESTS, TEMPLATES, 1, settings)
    assert len(set(found.passes.tolist())) > 1
    assert found.early_stopped(settings) >= 2
    for number in range(len(REQUESTS)):
        stopped = float(found.loss_last[number, 0]) < settings.early_stop_loss
        assert stopped or int(found.passes[number]) == settings.steps


def test_early_stop_equals_the_plain_loop() -> None:
    model = tiny_model("gpt2", bos=False)
    settings = replace(SETTINGS, steps=15, learning_rate=0.5, weight_decay=0.01, early_stop_loss=6.4)
    found = compute_targets(model, REQUESTS, TEMPLATES, 1, settings)
    assert found.early_stopped(settings) > 0
    compare(model, found, 1, settings)


def test_the_clamp_holds_the_norm() -> None:
    model = tiny_model("llama")
    settings = replace(SETTINGS, clamp_norm_factor=0.1)
    found = compute_targets(model, REQUESTS, TEMPLATES, 1, settings)
    ratio = (found.z - found.start).norm(dim=0) / found.start.norm(dim=0)
    assert bool(found.clamped.all())
    torch.testing.assert_close(ratio, torch.full_like(ratio, 0.1))


def test_one_pass_takes_no_step() -> None:
    model = tiny_model("llama")
    found = compute_targets(model, REQUESTS, TEMPLATES, 1, replace(SETTINGS, steps=1))
    assert torch.equal(found.z, found.start)
    assert torch.equal(found.loss_first, found.loss_last)


def test_a_request_alone_gives_what_it_gives_in_a_batch() -> None:
    model = tiny_model("llama")
    together = compute_targets(model, REQUESTS, TEMPLATES, 1, SETTINGS)
    for number, request in enumerate(REQUESTS):
        alone = compute_targets(model, [request], TEMPLATES, 1, SETTINGS)
        torch.testing.assert_close(alone.z[:, 0], together.z[:, number], rtol=1e-4, atol=1e-5)


def test_nothing_of_the_model_changes() -> None:
    model = tiny_model("llama")
    before = {name: p.clone() for name, p in model.model.named_parameters()}
    compute_targets(model, REQUESTS, TEMPLATES, 1, SETTINGS)
    for name, parameter in model.model.named_parameters():
        assert torch.equal(parameter, before[name])
        assert not parameter.requires_grad and parameter.grad is None
    assert not any("forward" in module.__dict__ for module in model.model.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.model.modules())


def test_a_collapsed_model_is_an_error() -> None:
    model = tiny_model("llama")
    name = model.anatomy.weight_name(3)
    model.write_weights({name: torch.full_like(model.pristine(name), float("nan"))})
    with pytest.raises(EditorError, match="not finite"):
        compute_targets(model, REQUESTS, TEMPLATES, 1, SETTINGS)
