"""FT and FT-L with the published loss against recorded runs: every step's loss, and the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from palimpsest.editors.ft import FineTune
from palimpsest.editors.ft_l import FineTuneBoxed
from palimpsest.editors.toolkit.finetuning import FineTuning
from tests.golden.recorded import Recording
from tests.golden.test_golden import off

TOLERANCE = 1e-5
RUNS = ("ft", "ft_l")
RUNS_OF = {"tuned_run": lambda found: found.having(RUNS)}


def prepared(golden: Recording, run: str) -> FineTuning:
    setting = golden.setting(run)
    fields: dict[str, Any] = {
        "layer": setting["layers"][0],
        "steps": setting["num_steps"],
        "learning_rate": setting["lr"],
        "weight_decay": setting["weight_decay"],
        "chunk": setting["batch_size"],
        "reference_loss": True,
    }
    editor: FineTuning = FineTune(FineTune.Config(**fields))
    if setting["norm_constraint"]:
        editor = FineTuneBoxed(FineTuneBoxed.Config(**fields, norm_constraint=setting["norm_constraint"]))
    editor.prepare(golden.model())
    return editor


def test_the_whole_run_is_reproduced(golden: Recording, tuned_run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, editor = golden.arrays(tuned_run), prepared(golden, tuned_run)
    losses: list[float] = []
    gradient = editor._gradient

    def noted(*given: Any) -> Any:
        found = gradient(*given)
        losses.append(found[0])
        return found

    monkeypatch.setattr(editor, "_gradient", noted)
    for number, batch in enumerate(golden.batches(tuned_run), 1):
        losses.clear()
        editor.edit(batch)
        np.testing.assert_allclose(losses, arrays[f"b{number}.batch_losses"], rtol=TOLERANCE)
        assert off(editor.model.weight(editor.config.layer), arrays[f"b{number}.W_after"]) < TOLERANCE
