"""DeltaEdit against a recorded run of thirty single edits: statistics, triggers, targets and updates."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from palimpsest.editors import deltaedit
from palimpsest.editors.deltaedit import DeltaEdit
from tests.golden.recorded import FIELDS, Recording, noted_targets
from tests.golden.test_golden import off

TOLERANCE = 1e-3
EXACT_RANK = 24
"""The reference's randomised SVD of this rank finds the leading directions exactly while M has no larger one."""
RUNS_OF = {"delta_run": lambda found: found.having(("deltaedit",))}


def test_thirty_edits_are_reproduced(golden: Recording, delta_run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, setting = golden.arrays(delta_run), golden.setting(delta_run)
    editor = DeltaEdit(
        DeltaEdit.Config(
            **{FIELDS[name]: value for name, value in setting.items() if name in FIELDS},
            nullspace_threshold=setting["nullspace_threshold"],
            ridge=setting["L2"],
            deviations=setting["var"],
            max_removed_share=setting["space"],
            trigger="reference",
        )
    )
    editor.prepare(golden.model())
    editor.removed = {layer: golden.removed(layer) for layer in editor.config.layers}
    editor.record_updates = True
    targets = noted_targets(deltaedit, monkeypatch)
    for number in range(len(arrays["z"])):
        with monkeypatch.context() as patch:
            follow_recorded_directions(editor, arrays, number, patch)
            report = editor.edit([golden.request(number)])
        assert off(targets[-1].z[:, 0], arrays["z"][number]) < TOLERANCE
        assert int(targets[-1].passes[0]) == int(arrays["n_forward"][number])
        for update, residual, a in zip(report.updates, arrays["R"][number], arrays["A"][number], strict=True):
            assert update.influence is not None and update.activation is not None
            assert off(update.influence[:, 0], residual) < TOLERANCE
            assert off(update.activation[:, 0], a) < TOLERANCE
        mean, variance, triggered, columns = arrays["stats"][number][[2, 3, 4, 6]]
        assert report.counters["constrained"] == int(triggered)
        if triggered:
            assert report.counters["removed_directions"] == int(columns)
        if number > 0:  # before the first update nothing is disturbed
            assert (editor.mean, editor.variance) == pytest.approx((mean, variance), rel=TOLERANCE)
    assert off(editor.model.weight(editor.config.layers[-1]), arrays["W_after_30_last_layer"]) < TOLERANCE


def follow_recorded_directions(
    editor: DeltaEdit, arrays: dict[str, Any], number: int, patch: pytest.MonkeyPatch
) -> None:
    """Check our U where the reference's is exact, and go on with the recorded one, which depends on its seed later."""
    name = f"e{number + 1}.U"
    if name not in arrays:
        return
    own, recorded = editor.directions, torch.from_numpy(arrays[name]).double()

    def directions(update: Tensor, disturbances: Tensor) -> Tensor:
        found = own(update, disturbances)
        assert found.shape == recorded.shape
        if number < EXACT_RANK:
            assert float(torch.linalg.svdvals(found.T @ recorded).min()) > 1 - 1e-5
        return recorded

    patch.setattr(editor, "directions", directions)
