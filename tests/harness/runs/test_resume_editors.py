"""Every built-in editor: stopped between two batches and continued on a freshly loaded model, the bits are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from palimpsest.harness.plugins.configuration import build_editor
from palimpsest.harness.plugins.entry_points import available_editors
from palimpsest.harness.statistics.resources import with_statistics
from tests.labs.run_lab import WORDS, EditableModel, results, run, spec, tiny_model

TARGETS = {"target_steps": 3, "target_learning_rate": 0.3, "statistics_tokens": 600}
FAMILY = TARGETS | {"layers": [0, 1]}
MEMIT = FAMILY | {"second_moment_weight": 10.0}
ALPHAEDIT = FAMILY | {"nullspace_threshold": 0.02, "ridge": 1.0}
TRAINING = {"layer": 1, "steps": 2, "learning_rate": 0.01, "weight_decay": 0.0}
ROME = TARGETS | {"layer": 1, "template_lengths": [5], "templates_per_length": 2}
CONFIGS: dict[str, dict[str, Any]] = {
    "ft": TRAINING,
    "ft-l": TRAINING | {"norm_constraint": 0.01},
    "rome": ROME,
    "r-rome": ROME,
    "memit": MEMIT,
    "memit-seq": MEMIT,
    "alphaedit": ALPHAEDIT,
    "nse": MEMIT | {"error_threshold": 0.01, "error_limit": 1e6, "neuron_share": 0.8},
    "deltaedit": ALPHAEDIT | {"deviations": 0.5},
    "prune(memit)": {"per_step": True, "alpha": 1.1, "host": MEMIT},
    "rect(memit)": {"host": MEMIT},
    "sphere(alphaedit)": {"host": ALPHAEDIT},
    "revive(memit-seq)": {"host": MEMIT},
}
COURSE: dict[str, Any] = {"edits": 6, "batch_size": 2, "checkpoints": (0, 6)}


def loaded(folder: Path | None = None) -> EditableModel:
    """The lab's model with a statistics text; statistics are kept in ``folder``, if one is given."""
    model = tiny_model()
    if folder is not None:
        with_statistics(model, folder)
    model.resources.set_statistics("lab", lambda: [" ".join(WORDS[i:] + WORDS[:i]) for i in range(12)])
    return model


def test_every_built_in_editor_is_here() -> None:
    built_in = {entry.name for entry in available_editors() if entry.distribution == "palimpsest-bench"}
    assert {name.partition("(")[0] for name in CONFIGS} == built_in


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
