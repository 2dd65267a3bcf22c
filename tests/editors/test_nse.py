"""What NSE's rules promise, in both orientations of the weight."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.editors.memit_seq import MemitSeq
from palimpsest.editors.nse import Nse
from palimpsest.editors.toolkit.keys import keys_at, residual_stream_at
from tests.editors.small import BOTH, LAYERS, NEURONS, bits, change, prepared, same
from tests.labs.tiny_models import REQUESTS, TEMPLATES


@BOTH
def test_nse_with_all_neurons_and_one_round_is_memit_seq(architecture: str) -> None:
    """Given the same targets: MEMIT-Seq's own are not rewound."""
    nse = prepared(Nse, NEURONS, architecture)
    seq = prepared(MemitSeq, LAYERS | {"second_moment_weight": 2.0}, architecture)
    for batch in (REQUESTS[:3], REQUESTS[3:]):
        targets = nse.find_targets(batch)
        seq.find_targets = lambda _, targets=targets: targets
        nse.edit(batch)
        seq.edit(batch)
        assert same(bits(nse, nse.model), bits(seq, seq.model))


@BOTH
@pytest.mark.parametrize("selection", ["paper", "reference"])
def test_nse_leaves_the_other_neurons_alone(architecture: str, selection: str) -> None:
    editor = prepared(Nse, NEURONS | {"neuron_share": 0.5, "selection": selection, "layers": (1,)}, architecture)
    keys = keys_at(editor.model, REQUESTS, TEMPLATES, 1)
    chosen = editor.selected(keys)
    editor.edit(REQUESTS)
    changed = change(editor.model, 1).abs().sum(dim=0) > 0
    assert set(changed.nonzero()[:, 0].tolist()) == set(chosen.tolist())
    assert 0 < len(chosen) < 64


@settings(max_examples=40, deadline=None)
@given(size=st.integers(2, 30), columns=st.integers(1, 4), share=st.floats(0.05, 0.999), seed=st.integers(0, 10_000))
def test_nse_selects_the_smallest_set_that_holds_the_share(size: int, columns: int, share: float, seed: int) -> None:
    keys = torch.randn(size, columns, generator=torch.Generator().manual_seed(seed))
    paper, reference = (
        Nse(Nse.Config(**NEURONS, neuron_share=share, selection=rule)).selected(keys) for rule in ("paper", "reference")
    )
    mass = keys.double().abs().sum(dim=1)
    assert float(mass[paper].sum()) >= share * float(mass.sum()) * (1 - 1e-12)
    assert float(mass[paper[:-1]].sum()) < share * float(mass.sum()) * (1 + 1e-12)
    assert torch.equal(paper[: len(reference)], reference)
    assert len(reference) == max(1, len(paper) - 1) or float(mass[reference].sum()) <= share * float(mass.sum())
    left = [i for i in range(size) if i not in set(paper.tolist())]
    assert not left or float(mass[left].max()) <= float(mass[paper].min())


@BOTH
def test_nses_sub_system_equals_the_direct_solve_on_the_cut_matrices(architecture: str) -> None:
    editor = prepared(Nse, NEURONS | {"neuron_share": 0.6}, architecture)
    editor.edit(REQUESTS[:4])
    keys = keys_at(editor.model, REQUESTS[4:], TEMPLATES, 1).double()
    chosen = editor.selected(keys)
    whole = 2.0 * editor.model.resources.second_moments([1], 400)[1] + editor.systems[1].remembered() + keys @ keys.T
    direct = torch.linalg.solve(whole[chosen][:, chosen], keys[chosen])
    found = editor.solve(keys, 1)
    torch.testing.assert_close(found[chosen], direct, rtol=1e-8, atol=1e-10)
    assert int((found != 0).any(dim=1).sum()) == len(chosen)


@BOTH
def test_nses_targets_come_from_the_unedited_model_and_leave_the_edits_in_place(architecture: str) -> None:
    editor = prepared(Nse, NEURONS, architecture)
    first = editor.find_targets(REQUESTS[:2]).z
    editor.edit(REQUESTS[2:])
    before = bits(editor, editor.model)
    assert torch.equal(editor.find_targets(REQUESTS[:2]).z, first)
    assert same(before, bits(editor, editor.model))


def test_nses_active_set_shrinks_and_what_is_beyond_the_limit_is_counted_and_left_out() -> None:
    scout = prepared(Nse, NEURONS)
    z = scout.find_targets(REQUESTS).z
    errors = (z - residual_stream_at(scout.model, REQUESTS, 1)).norm(dim=0)
    limit, enough = float(errors.max()) * (1 - 1e-6), float(errors.median()) * 0.8
    editor = prepared(Nse, NEURONS | {"error_limit": limit, "error_threshold": enough, "rounds": 4})
    report = editor.edit(REQUESTS)
    counts = [report.counters[f"active.{n}"] for n in range(1, report.counters["rounds"] + 1)]
    assert report.counters["skipped"] == 1
    assert len(counts) > 1 and counts == sorted(counts, reverse=True)
    assert counts[0] + report.counters["skipped"] + report.counters["written_already"] == len(REQUESTS)
    keys = keys_at(editor.model, REQUESTS, TEMPLATES, 1).double()
    torch.testing.assert_close(editor.systems[1].remembered(), keys @ keys.T)
