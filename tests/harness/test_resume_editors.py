"""Every built-in editor: stopped between two batches and continued on a freshly loaded model, the bits are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from palimpsest.harness.registry import build_editor
from tests.harness.run_lab import WORDS, EditableModel, results, run, spec, tiny_model

FAMILY = {"layers": [0, 1], "target_steps": 3, "target_learning_rate": 0.3, "statistics_tokens": 600}
CONFIGS: dict[str, dict[str, Any]] = {
    "memit": FAMILY | {"second_moment_weight": 10.0},
    "memit-seq": FAMILY | {"second_moment_weight": 10.0},
    "alphaedit": FAMILY | {"nullspace_threshold": 0.02, "ridge": 1.0},
    "ft-l": {"layer": 1, "steps": 2, "learning_rate": 0.01, "norm_constraint": 0.01, "weight_decay": 0.0},
}
COURSE: dict[str, Any] = {"edits": 6, "batch_size": 2, "checkpoints": (0, 6)}


def loaded() -> EditableModel:
    model = tiny_model()
    model.resources.set_statistics("lab", lambda: [" ".join(WORDS[i:] + WORDS[:i]) for i in range(12)])
    return model


@pytest.mark.parametrize("name", CONFIGS)
def test_continued_run_has_the_same_bits(name: str, tmp_path: Path) -> None:
    messages: list[str] = []
    how = {"make_editor": lambda: build_editor(name, CONFIGS[name]), "messages": messages}
    once = run(tmp_path / "once", spec({}, **COURSE), loaded(), **how)
    assert (once.status, once.reason) == ("complete", None)
    for limit in (2, 4):
        assert run(tmp_path / "twice", spec({}, **COURSE), loaded(), limit=limit, **how).edits == limit
    twice = run(tmp_path / "twice", spec({}, **COURSE), loaded(), **how)
    assert messages == []
    wanted = results(once.folder)
    assert {name: digest for name, digest in results(twice.folder).items() if "000004" not in name} == wanted
