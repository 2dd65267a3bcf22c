"""Filters around real hosts on tiny models, of the usual and of the transposed orientation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from palimpsest.editors.memit import Memit
from palimpsest.editors.memit_seq import MemitSeq
from palimpsest.editors.prune import Prune
from palimpsest.editors.rect import Rect
from palimpsest.editors.revive import Revive
from palimpsest.editors.sphere import Sphere, principal_directions
from palimpsest.editors.toolkit.filtering import Filter
from palimpsest.editors.toolkit.keys import keys_at
from palimpsest.editors.toolkit.updates import full
from palimpsest.harness.editor import Editor, EditorConfig, EditReport, LayerUpdate
from palimpsest.harness.errors import ConfigError, EditorError, ModelCollapsed
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.plugins.configuration import build_editor
from palimpsest.harness.specs.cases import EditRequest
from tests.labs.tiny_models import REQUESTS, TEMPLATES, tiny_model

MEMIT: dict[str, Any] = {
    "layers": (0, 1), "target_steps": 3, "target_learning_rate": 0.3, "statistics_tokens": 600,
    "second_moment_weight": 10.0,
}  # fmt: skip
FT = {"layer": 1, "steps": 3, "learning_rate": 0.02, "norm_constraint": 0.05}
ORIENTATIONS = ("llama", "gpt2")
FIRST, SECOND = REQUESTS[:4], REQUESTS[4:]


@pytest.fixture(params=ORIENTATIONS)
def model(request: pytest.FixtureRequest) -> EditableModel:
    return tiny_model(request.param)


def started(model: EditableModel, text: str, config: dict[str, Any]) -> Any:
    editor = build_editor(text, config)
    editor.prepare(model)
    return editor


def edited(model: EditableModel, text: str, config: dict[str, Any]) -> Any:
    editor = started(model, text, config)
    for batch in (FIRST, SECOND):
        editor.edit(batch)
    return editor


def weights(model: EditableModel) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.model.named_parameters()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def change(model: EditableModel, layer: int) -> Tensor:
    """W_t − W_0, d_out × d_in."""
    return model.weight(layer).double() - model.pristine_weight(layer).double()


# Filters that change nothing


@pytest.mark.parametrize(
    ("text", "own"),
    [("rect", {"kept_share": 1.0}), ("sphere", {"alpha": 0.0}), ("sphere", {"eta": 0.0}), ("prune", {})],
)
def test_a_filter_that_keeps_everything_leaves_the_host_its_bits(
    text: str, own: dict[str, Any], model: EditableModel
) -> None:
    filtered = edited(model, f"{text}(memit-seq)", own | {"host": MEMIT})
    alone = tiny_model(model.name.removeprefix("tiny-"))
    host = edited(alone, "memit-seq", MEMIT)
    assert same(weights(model), weights(alone))
    assert same(filtered.state_dict(), {f"host.{name}": tensor for name, tensor in host.state_dict().items()})


# Invariants on models


@pytest.mark.parametrize("after_all_layers", [False, True])
@pytest.mark.parametrize(("host", "config"), [("memit", MEMIT), ("ft-l", FT)])
def test_revive_keeps_the_leading_triplets_of_the_edited_weights(
    host: str, config: dict[str, Any], after_all_layers: bool, model: EditableModel
) -> None:
    editor = edited(model, f"revive({host})", {"after_all_layers": after_all_layers, "tau": 0.2, "host": config})
    assert isinstance(editor, Revive)
    for layer in editor.layers:
        u, v = editor.protected[layer]
        assert float(change(model, layer).norm()) > 1e-3
        assert float((u.T @ change(model, layer)).abs().max()) < 1e-5
        assert float((change(model, layer) @ v).abs().max()) < 1e-5


def test_sphere_at_full_strength_leaves_the_pretrained_principal_directions_alone(model: EditableModel) -> None:
    editor = edited(model, "sphere(memit)", {"alpha": 1.0, "basis": "pretrained", "host": MEMIT})
    for layer in editor.layers:
        u = principal_directions(model.pristine_weight(layer), 0.5)
        assert float(change(model, layer).norm()) > 1e-3
        assert float((change(model, layer) @ u).abs().max()) < 1e-5


@pytest.mark.parametrize(("host", "config"), [("memit", MEMIT), ("ft-l", FT)])
def test_rect_leaves_the_other_entries_their_bits(host: str, config: dict[str, Any], model: EditableModel) -> None:
    editor = started(model, f"rect({host})", {"kept_share": 0.25, "host": config})
    before = {layer: model.weight(layer).clone() for layer in editor.layers}
    editor.edit(FIRST)
    for layer, start in before.items():
        changed = float((model.weight(layer) != start).double().mean())
        assert 0.2 < changed < 0.26  # the smallest kept changes may be lost in rounding


def test_sphere_s_strength_follows_the_kind_of_host() -> None:
    alphaedit = {**MEMIT, "nullspace_threshold": 0.02}
    del alphaedit["second_moment_weight"]
    assert build_editor("sphere", {"host": alphaedit}).alpha == 0.5  # type: ignore[attr-defined]
    assert build_editor("sphere(rect(alphaedit))", {"host": {"host": alphaedit}}).alpha == 0.5  # type: ignore[attr-defined]
    assert build_editor("sphere(memit)", {"host": MEMIT}).alpha == 0.8  # type: ignore[attr-defined]
    assert build_editor("sphere", {"alpha": 0.3, "host": alphaedit}).alpha == 0.3  # type: ignore[attr-defined]


# Order


def test_masks_after_all_layers_are_not_seen_by_later_layers(model: EditableModel) -> None:
    """All layers' updates are the unfiltered host's, each masked by itself."""
    host = tiny_model(model.name.removeprefix("tiny-"))
    unfiltered = started(host, "memit", MEMIT)
    unfiltered.record_updates = True
    updates = unfiltered.edit(FIRST).updates
    rect = started(model, "rect(memit)", {"host": MEMIT})
    pristine = {layer: model.weight(layer).clone() for layer in rect.layers}
    rect.edit(FIRST)
    for update in updates:
        wanted = full(rect.filter(update, pristine[update.layer], EditReport()))
        assert torch.equal(model.weight(update.layer), pristine[update.layer] + wanted.float())


def test_filters_at_once_are_made_up_for_by_later_layers(model: EditableModel) -> None:
    rects = [started(m, "rect(memit)", {"after_all_layers": flag, "kept_share": 0.1, "host": MEMIT})
             for m, flag in ((model, False), (tiny_model(model.name.removeprefix("tiny-")), True))]  # fmt: skip
    at_once, waiting = (rect.edit(FIRST).values for rect in rects)
    assert at_once["residual_norm.0"] == waiting["residual_norm.0"]
    assert at_once["residual_norm.1"] > waiting["residual_norm.1"]  # what the mask left undone is seen


def test_the_host_remembers_keys_of_the_filtered_model(model: EditableModel) -> None:
    editor = started(model, "rect(memit-seq)", {"kept_share": 0.3, "host": MEMIT})
    editor.edit(FIRST)
    for layer in editor.layers:
        remembered = editor.state_dict()[f"host.{layer}.pending.000"]
        assert torch.equal(remembered, keys_at(model, FIRST, TEMPLATES, layer).double())


def test_nested_filters_act_from_the_inside_out(model: EditableModel) -> None:
    outer = started(model, "revive(rect(memit))", {"tau": 0.2, "host": {"host": MEMIT}})
    inner = outer.host
    assert isinstance(outer, Revive) and isinstance(inner, Rect) and isinstance(inner.host, Memit)
    assert inner.host.filters == [inner, outer]
    seen: list[tuple[str, LayerUpdate]] = []
    for name, filter in (("rect", inner), ("revive", outer)):
        actual = filter.filter
        filter.filter = lambda u, w, r, name=name, actual=actual: seen.append((name, u)) or actual(u, w, r)  # type: ignore
    outer.edit(FIRST)
    assert [name for name, _ in seen] == ["rect", "revive"] * 2
    assert seen[0][1].delta is None and seen[1][1].delta is not None  # factors, then what is left of them
    for layer in outer.layers:
        u, v = outer.protected[layer]
        assert float((u.T @ change(model, layer)).abs().max()) < 1e-5
        assert float((change(model, layer) @ v).abs().max()) < 1e-5


# PRUNE


def clipping(model: EditableModel, text: str = "prune(memit-seq)", **own: Any) -> Prune:
    """PRUNE that restrains something on a small model: σ_max as if the weight were smaller."""
    editor = started(model, text, own | {"host": MEMIT})
    assert isinstance(editor, Prune)
    editor.largest = dict.fromkeys(editor.layers, 0.2)
    return editor


def test_prune_swaps_restrained_weights_in_and_out_to_the_bit(model: EditableModel) -> None:
    editor = clipping(model)
    reports = [editor.edit(batch) for batch in (FIRST, SECOND)]
    alone = tiny_model(model.name.removeprefix("tiny-"))
    edited(alone, "memit-seq", MEMIT)
    assert same(weights(model), weights(alone))
    with editor.evaluated():
        for layer in editor.layers:
            sigma = torch.linalg.svdvals(change(alone, layer))
            wanted = torch.where(sigma > 0.2, editor.compressed(sigma, 0.2), sigma).sort(descending=True).values
            assert int((sigma > 0.2).sum()) == reports[1].values[f"clipped_singular_values.{layer}"] > 0
            assert torch.allclose(torch.linalg.svdvals(change(model, layer)), wanted, atol=1e-5)
    assert same(weights(model), weights(alone))
    with pytest.raises(KeyError), editor.evaluated():
        raise KeyError
    assert same(weights(model), weights(alone))


def test_prune_per_step_keeps_the_restrained_weights(model: EditableModel) -> None:
    editor = clipping(model, per_step=True, alpha="linear")
    for batch in (FIRST, SECOND):
        report = editor.edit(batch)
        assert report.values["clipped_singular_values.1"] > 0
    other = clipping(tiny_model(model.name.removeprefix("tiny-")))
    for batch in (FIRST, SECOND):
        other.edit(batch)
    assert float(change(model, 1).norm()) < float(change(other.model, 1).norm())


def test_a_filter_around_prune_per_step_sees_what_prune_made_of_the_batch(model: EditableModel) -> None:
    editor = started(
        model, "revive(prune(memit))", {"tau": 0.2, "host": {"per_step": True, "alpha": "linear", "host": MEMIT}}
    )
    editor.host.largest = dict.fromkeys(editor.layers, 0.2)
    editor.edit(FIRST)
    for layer in editor.layers:
        assert float((editor.protected[layer].left.T @ change(model, layer)).abs().max()) < 1e-5
    assert float(torch.linalg.svdvals(change(model, 1))[0]) < float(
        torch.linalg.svdvals(change(edited_model(model, "revive(memit)"), 1))[0]
    )


def edited_model(like: EditableModel, text: str) -> EditableModel:
    model = tiny_model(like.name.removeprefix("tiny-"))
    started(model, text, {"tau": 0.2, "host": MEMIT}).edit(FIRST)
    return model


# Reports, state, failure


@pytest.mark.parametrize(
    ("text", "config"),
    [
        ("revive(memit)", {"host": MEMIT}),
        ("sphere(rect(memit))", {"host": {"host": MEMIT}}),
        ("rect(ft-l)", {"host": FT}),
        ("prune(memit)", {"per_step": True, "host": MEMIT}),
    ],
)
def test_reported_updates_add_up_to_what_was_written(text: str, config: dict[str, Any], model: EditableModel) -> None:
    editor = started(model, text, config)
    if isinstance(editor, Prune):
        editor.largest = dict.fromkeys(editor.layers, 0.2)
    assert editor.edit(FIRST).updates == []
    before = {layer: model.weight(layer).double() for layer in editor.layers}
    editor.record_updates = True
    updates = editor.edit(SECOND).updates
    if text == "revive(memit)":
        assert all(update.delta is None and update.keys is not None for update in updates)
    for layer, start in before.items():
        total = torch.stack([full(update) for update in updates if update.layer == layer]).sum(dim=0)
        assert torch.allclose(model.weight(layer).double() - start, total, atol=1e-6)


def test_the_state_is_the_host_s_under_its_own_prefix(model: EditableModel) -> None:
    editor = edited(model, "revive(rect(memit-seq))", {"host": {"host": MEMIT}})
    state = editor.state_dict()
    assert state and all(name.startswith("host.host.") for name in state)
    other = started(tiny_model(model.name.removeprefix("tiny-")), "revive(rect(memit-seq))", {"host": {"host": MEMIT}})
    other.load_state_dict(state)
    assert same(other.state_dict(), state)
    with pytest.raises(ValueError, match=r"Revive keeps no state of its own, but got \['mine'\]"):
        other.load_state_dict({"mine": torch.zeros(1)})


class Failing(Filter):
    """Fails at the last layer."""

    default_host = "memit"
    Config = EditorConfig

    def filter(self, update: LayerUpdate, weight: Tensor, report: EditReport) -> LayerUpdate:
        if update.layer == self.layers[-1]:
            raise EditorError("No.")
        return update


class NotFinite(Failing):
    """Makes an update that is no number."""

    def filter(self, update: LayerUpdate, weight: Tensor, report: EditReport) -> LayerUpdate:
        return LayerUpdate(update.layer, delta=torch.full_like(full(update), torch.nan))


@pytest.mark.parametrize(("cls", "error"), [(Failing, EditorError), (NotFinite, ModelCollapsed)])
@pytest.mark.parametrize("direct", [False, True])
def test_a_failing_filter_leaves_model_and_host_as_before(
    cls: type[Filter], error: type[Exception], direct: bool, model: EditableModel
) -> None:
    editor = cls(EditorConfig(), build_editor("memit-seq", MEMIT))
    editor.prepare(model)
    assert isinstance(editor.host, MemitSeq)
    if direct:  # as around a host that lets no filters in
        editor.host.filters.clear()
        editor.pipeline = None
    before, state = weights(model), editor.state_dict()
    with pytest.raises(error):
        editor.edit(SECOND)
    assert same(weights(model), before) and same(editor.state_dict(), state)


class Memory(Editor):
    """Writes no weights."""

    class Config(EditorConfig):
        """Nothing to set."""

    names: Sequence[str] = ()

    def prepare(self, model: EditableModel) -> None:
        """Nothing to prepare."""

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        return EditReport()

    def writes(self) -> Collection[str]:
        return self.names


@pytest.mark.parametrize("filter", [Rect, Prune, Sphere, Revive])
def test_hosts_that_cannot_be_filtered_are_refused_before_the_first_edit(filter: type[Filter]) -> None:
    model = tiny_model()
    with pytest.raises(ConfigError, match=f"{filter.__name__} cannot stand around Memory: that editor writes no weig"):
        filter(filter.Config(), Memory(Memory.Config())).prepare(model)
    other = Memory(Memory.Config())
    other.names = ("model.embed_tokens.weight",)
    with pytest.raises(ConfigError, match=r"writes model\.embed_tokens\.weight, and filters are defined for down-proj"):
        filter(filter.Config(), other).prepare(model)


def test_a_filter_may_not_have_a_field_where_its_host_s_configuration_stands() -> None:
    class Config(EditorConfig):
        host: str = "x"

    with pytest.raises(TypeError, match="Bad.Config has a field 'host'"):
        type("Bad", (Filter,), {"Config": Config})


def test_an_empty_batch_is_nothing(model: EditableModel) -> None:
    for text, config in (("revive(memit)", MEMIT), ("rect(ft-l)", FT), ("prune(memit)", MEMIT)):
        editor = started(model, text, {"host": config})
        before = weights(model)
        editor.edit([])
        assert same(weights(model), before)
