"""What the equations of MEMIT, MEMIT-Seq, AlphaEdit and FT promise, and what every editor does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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
from palimpsest.editors.toolkit.keys import keys_at, residual_stream_at
from palimpsest.editors.toolkit.linalg import System
from palimpsest.harness.editor import EditReport
from palimpsest.harness.errors import ModelCollapsed
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.statistics.resources import with_statistics
from tests.editors.small import BOTH, LAYERS, NEURONS, NULL, TARGETS, bits, change, prepared, same
from tests.labs.tiny_models import REQUESTS, TEMPLATES, tiny_model


@BOTH
def test_memit_with_little_regularisation_moves_the_stream_to_the_targets(architecture: str) -> None:
    editor = prepared(Memit, TARGETS | {"layers": (1,), "second_moment_weight": 1e-7}, architecture)
    batch = [REQUESTS[0], REQUESTS[1], REQUESTS[2]]
    z = editor.find_targets(batch).z
    before = residual_stream_at(editor.model, batch, 1)
    keys = keys_at(editor.model, batch, TEMPLATES, 1).double()
    editor.write(batch, z, EditReport())
    torch.testing.assert_close(change(editor.model, 1) @ keys, (z - before).double(), rtol=2e-3, atol=2e-3)


@BOTH
def test_the_update_is_the_minimiser_of_memits_objective(architecture: str) -> None:
    editor = prepared(Memit, LAYERS | {"second_moment_weight": 2.0}, architecture)
    keys, residual = keys_at(editor.model, REQUESTS, TEMPLATES, 0).double(), torch.randn(32, len(REQUESTS)).double()
    delta = residual @ editor.solve(keys, 0).T
    c0 = editor.model.resources.second_moments([0], 400)[0]
    torch.testing.assert_close(delta @ keys @ keys.T + 2.0 * delta @ c0, residual @ keys.T, rtol=1e-8, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(size=st.integers(4, 16), columns=st.integers(1, 4), batches=st.integers(1, 4), seed=st.integers(0, 10_000))
def test_batches_one_after_another_equal_one_joint_solve_only_for_one_batch(
    size: int, columns: int, batches: int, seed: int
) -> None:
    noise = torch.Generator().manual_seed(seed)

    def random(rows: int, width: int) -> Tensor:
        return torch.randn(rows, width, dtype=torch.float64, generator=noise)

    root = random(size, 2 * size)
    base = root @ root.T / size
    keys, residuals = [random(size, columns) for _ in range(batches)], [random(3, columns) for _ in range(batches)]
    system, total = System(base, size), torch.zeros(3, size, dtype=torch.float64)
    for k, r in zip(keys, residuals, strict=True):
        total += r @ system.solve(k).T
        system.remember(k)
    joint = torch.cat(residuals, dim=1) @ System(base, size).solve(torch.cat(keys, dim=1)).T
    assert torch.allclose(total, joint, rtol=1e-8, atol=1e-8) is (batches == 1)


@pytest.mark.parametrize("ridge", [10.0, 1.0])
@BOTH
def test_alphaedit_keeps_the_outputs_of_removed_directions(architecture: str, ridge: float) -> None:
    editor = prepared(AlphaEdit, NULL | {"ridge": ridge}, architecture)
    for batch in (REQUESTS[:4], REQUESTS[4:]):
        editor.edit(batch)
    for layer in (0, 1):
        delta = change(editor.model, layer)
        assert float((delta @ editor.removed[layer]).norm()) < 1e-5 * float(delta.norm())


def test_alphaedits_relative_threshold_is_a_share_of_the_largest_eigenvalue() -> None:
    absolute = prepared(AlphaEdit, NULL)
    share = 2.0 / float(absolute.model.resources.spectrum(0, 400).values[-1])
    relative = prepared(AlphaEdit, NULL | {"nullspace_threshold": share, "nullspace_relative": True})
    assert torch.equal(absolute.removed[0], relative.removed[0])


def test_ft_is_ft_l_in_a_box_without_sides() -> None:
    own = {"layer": 1, "steps": 4, "learning_rate": 0.01}
    free, boxed = prepared(FineTune, own), prepared(FineTuneBoxed, own | {"norm_constraint": 1e6})
    for editor in (free, boxed):
        editor.edit(REQUESTS[:4])
    assert same(bits(free, free.model), bits(boxed, boxed.model))


EVERY: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "memit": (Memit, LAYERS | {"second_moment_weight": 2.0}),
    "memit-seq": (MemitSeq, LAYERS | {"second_moment_weight": 2.0}),
    "alphaedit": (AlphaEdit, NULL),
    "rome": (Rome, TARGETS | {"layer": 1}),
    "r-rome": (RRome, TARGETS | {"layer": 1}),
    "nse": (Nse, NEURONS | {"neuron_share": 0.8, "rounds": 2}),
    "deltaedit": (DeltaEdit, NULL),
    "ft": (FineTune, {"layer": 1, "steps": 3, "learning_rate": 0.01}),
}


@pytest.mark.parametrize("name", EVERY)
def test_editing_a_transposed_copy_of_the_weights_changes_nothing_but_the_orientation(name: str) -> None:
    """A GPT-2 whose `Conv1D`s are replaced by `Linear`s computes the same, so its edits are the same."""
    changes = []
    for transposed in (True, False):
        editor = EVERY[name][0](EVERY[name][0].Config(**EVERY[name][1]))
        model = tiny_model("gpt2") if transposed else linear_gpt2()
        assert model.anatomy.transposed is transposed
        editor.prepare(model)
        editor.edit(REQUESTS[:3])
        changes.append(change(model, 1))
    assert float((changes[0] - changes[1]).norm()) < 2e-3 * float(changes[0].norm())


def linear_gpt2() -> EditableModel:
    conv = tiny_model("gpt2")
    for block in conv.model.transformer.h:
        old = block.mlp.c_proj
        new = torch.nn.Linear(old.weight.shape[0], old.weight.shape[1])
        new.weight.data, new.bias.data = old.weight.data.T.contiguous(), old.bias.data
        block.mlp.c_proj = new
    model = EditableModel(conv.model, conv.tokenizer, name="linear", fingerprint="linear")
    with_statistics(model)
    model.resources.set_context_templates(TEMPLATES)
    model.resources.set_second_moments(conv.resources.second_moments(range(4), 400))
    return model


@pytest.mark.parametrize("name", EVERY)
def test_an_edit_after_a_collapse_raises_and_leaves_weights_and_state(name: str) -> None:
    kind, config = EVERY[name]
    editor = prepared(kind, config)
    editor.edit(REQUESTS[:2])
    state = {key: value.clone() for key, value in editor.state_dict().items()}
    broken = editor.model.anatomy.weight_name(3)
    editor.model.write_weights({broken: torch.full_like(editor.model.pristine(broken), float("nan"))})
    before = bits(editor, editor.model)
    with pytest.raises(ModelCollapsed):
        editor.edit(REQUESTS[2:4])
    assert same(before, bits(editor, editor.model))
    now = editor.state_dict()
    assert state.keys() == now.keys()
    assert all(torch.equal(state[key], now[key]) for key in state)
