"""What ROME's and R-ROME's equations promise, in both orientations of the weight."""

from __future__ import annotations

import pytest
import torch

from palimpsest.editors.r_rome import RRome
from palimpsest.editors.rome import Rome
from palimpsest.editors.toolkit.keys import keys_at, outputs_at
from tests.editors.small import BOTH, CLEAN, TARGETS, bits, change, prepared, same
from tests.labs.tiny_models import REQUESTS


@BOTH
def test_rome_is_a_rank_one_update_that_gives_the_optimised_output(architecture: str) -> None:
    editor = prepared(Rome, TARGETS | {"layer": 1}, architecture)
    editor.record_updates = True
    request = REQUESTS[1]
    before = outputs_at(editor.model, [request], 1)
    (update,) = editor.edit([request]).updates
    delta = change(editor.model, 1)
    values = torch.linalg.svdvals(delta)
    assert float(values[1]) < 1e-5 * float(values[0])
    wanted = before[:, 0].double() + update.influence[:, 0] * float(update.activation[:, 0] @ update.keys[:, 0])
    torch.testing.assert_close(outputs_at(editor.model, [request], 1)[:, 0].double(), wanted, rtol=1e-4, atol=1e-4)
    assert float(delta.norm()) > 0


@BOTH
def test_r_rome_gives_the_optimised_output_at_the_mean_key(architecture: str) -> None:
    editor = prepared(RRome, TARGETS | {"layer": 1}, architecture)
    editor.record_updates = True
    clean = keys_at(editor.model, [REQUESTS[1]], CLEAN, 1)[:, 0].double()
    mean = keys_at(editor.model, [REQUESTS[1]], editor.templates, 1)[:, 0].double()
    start = editor.model.weight(1).double()
    report = editor.edit([REQUESTS[1]])
    torch.testing.assert_close(report.updates[0].keys[:, 0], mean)
    shift = (start + change(editor.model, 1)) @ mean - start @ clean  # v* − W k = δ
    assert float(shift.norm()) == pytest.approx(report.values["target_norm"], rel=1e-4)
    assert float((start @ (mean - clean)).norm()) > 0.01 * float(shift.norm()), "the two keys must differ"


def test_rome_writes_a_batch_one_by_one() -> None:
    together, apart = (prepared(Rome, TARGETS | {"layer": 1}) for _ in range(2))
    together.edit(REQUESTS[:3])
    for request in REQUESTS[:3]:
        apart.edit([request])
    assert same(bits(together, together.model), bits(apart, apart.model))


def test_romes_direction_is_the_mean_key_without_the_adjustment() -> None:
    editor = prepared(Rome, TARGETS | {"layer": 1, "second_moment_adjustment": False})
    key = torch.randn(64, dtype=torch.float64)
    torch.testing.assert_close(editor.direction(key), key / key.norm())
