from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from palimpsest.editors.alphaedit import AlphaEdit
from palimpsest.editors.deltaedit import DeltaEdit
from palimpsest.editors.ft import FineTune
from palimpsest.editors.ft_l import FineTuneBoxed
from palimpsest.editors.memit import Memit
from palimpsest.editors.memit_seq import MemitSeq
from palimpsest.editors.nse import Nse
from palimpsest.editors.r_rome import RRome
from palimpsest.editors.rome import Rome
from palimpsest.editors.toolkit import finetuning, pipeline
from palimpsest.editors.toolkit.keys import keys_at
from palimpsest.harness.editor import Editor
from palimpsest.harness.errors import ConfigError, EditorError
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.specs.cases import EditRequest
from tests.labs.presets import load_preset, preset_models
from tests.labs.tiny_models import REQUESTS, TEMPLATES, tiny_model

FAMILY: dict[str, Any] = {
    "layers": (0, 1),
    "target_steps": 5,
    "target_learning_rate": 0.3,
    "clamp_norm_factor": 3.0,
    "statistics_tokens": 400,
}
ALONE = {name: value for name, value in FAMILY.items() if name != "layers"} | {"layer": 1}
ROUNDS = {"second_moment_weight": 2.0, "error_threshold": 0.1, "error_limit": 1e9, "neuron_share": 0.9}
EDITORS: dict[str, tuple[type[Editor], dict[str, Any]]] = {
    "memit": (Memit, FAMILY | {"second_moment_weight": 2.0}),
    "memit-seq": (MemitSeq, FAMILY | {"second_moment_weight": 2.0}),
    "alphaedit": (AlphaEdit, FAMILY | {"nullspace_threshold": 2.0, "ridge": 0.1}),
    "nse": (
        Nse,
        FAMILY | {"second_moment_weight": 2.0, "error_threshold": 0.1, "error_limit": 1e9, "neuron_share": 0.9},
    ),
    "deltaedit": (DeltaEdit, FAMILY | {"nullspace_threshold": 2.0, "ridge": 0.1}),
    "rome": (Rome, ALONE),
    "r-rome": (RRome, ALONE),
    "ft": (FineTune, {"layer": 1, "steps": 5, "learning_rate": 0.01, "chunk": 3}),
    "ft-l": (FineTuneBoxed, {"layer": 1, "steps": 5, "learning_rate": 0.01, "norm_constraint": 0.02, "chunk": 3}),
}
BATCHES = (REQUESTS[:3], REQUESTS[3:5], REQUESTS[5:])


def prepared(name: str, model: EditableModel, **changes: Any) -> Editor:
    kind, config = EDITORS[name]
    editor = kind(kind.Config(**(config | changes)))
    editor.prepare(model)
    return editor


def parameters(model: EditableModel) -> dict[str, Tensor]:
    return {name: parameter.clone() for name, parameter in model.model.named_parameters()}


def same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def target_nll(model: EditableModel, request: EditRequest) -> float:
    prompt = model.tokenizer(request.prompt.format(request.subject))["input_ids"]
    target = model.tokenizer(" " + request.target_new, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        log_p = model.model(torch.tensor([prompt + target])).logits[0].log_softmax(-1)
    return -float(sum(log_p[len(prompt) - 1 + i, token] for i, token in enumerate(target)) / len(target))


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@pytest.mark.parametrize("name", EDITORS)
def test_edits_take_and_only_declared_parameters_change(name: str, architecture: str) -> None:
    model = tiny_model(architecture, bos=architecture == "llama")
    editor = prepared(name, model)
    before, losses = parameters(model), [target_nll(model, request) for request in REQUESTS]
    report = editor.edit(REQUESTS)
    after = parameters(model)
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed == set(editor.writes()) == set(model.edited_names())
    learned = 4 if name in ("rome", "r-rome") else 5  # written one by one, a later edit of a subject moves its key
    assert sum(target_nll(model, r) < loss for r, loss in zip(REQUESTS, losses, strict=True)) >= learned
    assert report.values["loss_last"] < report.values["loss_first"]
    assert report.seconds and all(seconds >= 0 for seconds in report.seconds.values())
    assert not any(parameter.requires_grad for parameter in model.model.parameters())
    model.write_weights({key: model.pristine(key) for key in model.edited_names()})
    assert same(before, parameters(model)), "restoring the pristine weights must give back the bits"


@pytest.mark.parametrize("name", EDITORS)
def test_the_same_batches_give_the_same_bits(name: str) -> None:
    results = []
    for _ in range(2):
        model = tiny_model("gpt2")
        editor = prepared(name, model)
        for batch in BATCHES:
            editor.edit(batch)
        results.append(parameters(model) | dict(editor.state_dict()))
    assert same(*results)


@pytest.mark.parametrize("name", EDITORS)
def test_a_resumed_run_goes_on_to_the_bit(name: str) -> None:
    model = tiny_model("llama")
    editor = prepared(name, model)
    for batch in BATCHES[:2]:
        editor.edit(batch)
    weights = {key: w.clone() for key, w in model.read_weights(editor.writes()).items()}
    state = {key: tensor.clone() for key, tensor in editor.state_dict().items()}
    editor.edit(BATCHES[2])

    other = tiny_model("llama")
    resumed = prepared(name, other)
    other.write_weights(weights)
    resumed.load_state_dict(state)
    resumed.edit(BATCHES[2])
    assert same(parameters(model), parameters(other))
    assert same(editor.state_dict(), resumed.state_dict())


@pytest.mark.parametrize("name", EDITORS)
def test_nothing_is_left_of_an_edit_that_fails(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    editor = prepared(name, model)
    editor.edit(BATCHES[0])
    before, state = parameters(model), {key: t.clone() for key, t in editor.state_dict().items()}
    with pytest.raises(EditorError, match="empty target"):
        editor.edit([*BATCHES[1], EditRequest(9, "{} is", "Anna", "", "")])
    assert same(before, parameters(model))

    writes = 0
    original = EditableModel.write_weights if name in ("ft", "ft-l") else EditableModel.add_update

    def failing(self: EditableModel, *arguments: Any) -> None:
        nonlocal writes
        writes += 1
        original(self, *arguments)
        if writes == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(EditableModel, original.__name__, failing)
    with pytest.raises(KeyboardInterrupt):
        editor.edit(BATCHES[1])
    assert same(before, parameters(model))
    assert same(state, editor.state_dict())


@pytest.mark.parametrize("name", EDITORS)
def test_a_collapsed_model_is_an_editor_error_and_stays_as_it_was(name: str) -> None:
    model = tiny_model("llama")
    editor = prepared(name, model)
    written = model.anatomy.weight_name(3)
    model.write_weights({written: torch.full_like(model.pristine(written), float("inf"))})
    before = model.read_weights(editor.writes())
    with pytest.raises(EditorError, match="not finite"):
        editor.edit(BATCHES[0])
    assert same(before, model.read_weights(editor.writes()))


@pytest.mark.parametrize("name", EDITORS)
def test_edge_batches(name: str) -> None:
    model = tiny_model("llama", bos=False)
    editor = prepared(name, model)
    before = parameters(model)
    editor.edit([])
    assert same(before, parameters(model))
    editor.edit([REQUESTS[2]])  # alone, accented, subject at the end of the prompt
    editor.edit([REQUESTS[3], REQUESTS[4], REQUESTS[3]])  # one subject three times, one request twice
    assert all(bool(torch.isfinite(p).all()) for p in model.model.parameters())


@pytest.mark.parametrize("name", ["memit", "memit-seq", "alphaedit", "nse", "deltaedit"])
def test_the_order_within_a_batch_hardly_matters(name: str) -> None:
    results = []
    for batch in (REQUESTS, REQUESTS[::-1]):
        model = tiny_model("llama")
        prepared(name, model).edit(batch)
        results.append(model.weight(1) - model.pristine(model.anatomy.weight_name(1)))
    assert (results[0] - results[1]).norm() < 1e-3 * results[0].norm()


def test_memit_seq_is_memit_in_the_first_batch_and_not_after() -> None:
    models = [tiny_model("llama"), tiny_model("llama")]
    editors = [prepared(name, model) for name, model in zip(("memit", "memit-seq"), models, strict=True)]
    for number, batch in enumerate(BATCHES):
        for editor in editors:
            editor.edit(batch)
        assert same(*map(parameters, models)) is (number == 0)


def test_what_is_remembered_are_the_keys_on_the_edited_model() -> None:
    model = tiny_model("gpt2")
    editor = prepared("memit-seq", model)
    expected = {layer: torch.zeros(model.anatomy.d_inner, model.anatomy.d_inner).double() for layer in (0, 1)}
    for batch in BATCHES:
        editor.edit(batch)
        for layer, total in expected.items():
            keys = keys_at(model, batch, TEMPLATES, layer).double()
            total += keys @ keys.T
    assert isinstance(editor, MemitSeq)
    for layer, total in expected.items():
        torch.testing.assert_close(editor.systems[layer].remembered(), total)


def test_alphaedit_leaves_the_removed_directions_alone() -> None:
    model = tiny_model("gpt2")
    editor = prepared("alphaedit", model)
    report = editor.edit(REQUESTS)
    assert isinstance(editor, AlphaEdit)
    for layer in (0, 1):
        removed = editor.removed[layer]
        update = (model.weight(layer) - model.pristine(model.anatomy.weight_name(layer)).T).double()
        assert 0 < removed.shape[1] < model.anatomy.d_inner
        assert (update @ removed).norm() < 1e-5 * update.norm()
        assert report.counters[f"projector_rank.{layer}"] == model.anatomy.d_inner - removed.shape[1]


def test_ft_l_stays_in_the_box_of_its_batch() -> None:
    model = tiny_model("llama")
    editor = prepared("ft-l", model, learning_rate=0.1)
    for batch in BATCHES[:2]:
        start = model.weight(1).clone()
        report = editor.edit(batch)
        moved = (model.weight(1) - start).abs().max()
        assert 0 < report.counters["clipped"] < model.weight(1).numel()
        assert 0.019 < float(moved) <= 0.02 + 1e-6


def test_ft_l_stops_when_the_facts_are_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetuning, "_FINISHED_LOSS", 2.0)  # random models cannot come to 0.01
    report = prepared("ft-l", tiny_model("llama"), steps=200, norm_constraint=9.0).edit(REQUESTS[:4])
    assert report.counters["epochs"] < 200
    assert report.counters["steps"] < 2 * report.counters["epochs"], "a chunk below the limit takes no step"
    assert report.values["loss_last"] < 2.0


def test_models_in_bfloat16_keep_float32_masters() -> None:
    model = tiny_model("llama", dtype=torch.bfloat16)
    for name in ("memit", "ft-l"):
        prepared(name, model).edit(REQUESTS[:2])
    weight = model.anatomy.weight_name(1)
    assert model.weight(1).dtype == torch.float32
    assert model.model.get_parameter(weight).dtype == torch.bfloat16
    assert torch.equal(model.model.get_parameter(weight), model.read_weights([weight])[weight].bfloat16())
    assert not torch.equal(model.weight(1), model.weight(1).bfloat16().float())


def test_editing_whole_sentences_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for holds in (True, False):
        monkeypatch.setattr(pipeline, "suffixes_hold", lambda model, layer, holds=holds: holds)
        model = tiny_model("llama")
        prepared("memit", model).edit(REQUESTS)
        results.append(model.weight(1).clone())
    torch.testing.assert_close(*results, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("layers", [(), (1, 0), (1, 1), (-1, 0)])
def test_layers_must_ascend(layers: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="layers"):
        Memit.Config(layers=layers, target_learning_rate=0.1, second_moment_weight=1.0)


@pytest.mark.parametrize(("name", "change"), [("memit", {"layers": (0, 4)}), ("ft-l", {"layer": 4})])
def test_layers_the_model_lacks_are_an_error(name: str, change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="blocks 0 to 3"):
        prepared(name, tiny_model("llama"), **change)


def test_a_foreign_state_is_refused() -> None:
    for name, state in (("memit-seq", {"7.folded": torch.zeros(2, 2)}), ("memit", {"0.folded": torch.zeros(64, 64)})):
        with pytest.raises(ValueError, match="no state"):
            prepared(name, tiny_model("llama")).load_state_dict(state)


@pytest.mark.parametrize("name", EDITORS)
def test_every_preset_is_valid(name: str) -> None:
    assert {"pocket-llama", "pocket-gpt2"} <= set(preset_models(name))
    for model in preset_models(name):
        EDITORS[name][0].Config(**(load_preset(name, model) or {}))
    assert load_preset(name, "no-such-model") is None
