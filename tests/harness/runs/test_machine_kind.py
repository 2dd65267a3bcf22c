"""A run goes on only on the kind of machine it was begun on, unless any will do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from palimpsest.harness.errors import MissingResource
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.system import environment
from palimpsest.harness.system.environment import changed_kind
from tests.labs.run_lab import SHORT, results, run, spec


@pytest.fixture
def begun(tmp_path: Path, lab_model: EditableModel) -> Path:
    return run(tmp_path, spec({}, **SHORT), lab_model, limit=2).folder


@pytest.mark.parametrize(("part", "named"), [("_cpu", "cpu .* → Abacus 9"), ("_gpu", "gpu .* → Abacus 9")])
def test_another_kind_of_machine_is_refused_and_named(
    begun: Path, lab_model: EditableModel, monkeypatch: pytest.MonkeyPatch, part: str, named: str
) -> None:
    before = results(begun)
    monkeypatch.setattr(environment, part, lambda: "Abacus 9")
    with pytest.raises(MissingResource, match=f"begun on another kind of machine: {named}.*--any-machine"):
        run(begun.parent.parent, spec({}, **SHORT), lab_model)
    assert results(begun) == before


def test_any_machine_goes_on_with_a_warning(
    begun: Path, lab_model: EditableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "_cpu", lambda: "Abacus 9")
    messages: list[str] = []
    outcome = run(begun.parent.parent, spec({}, **SHORT), lab_model, any_machine=True, messages=messages)
    assert outcome.status == "complete"
    assert any("environment has changed" in text and "→ Abacus 9" in text for text in messages)


def test_the_kind_is_that_of_the_first_segment(
    begun: Path, lab_model: EditableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(environment, "_cpu", lambda: "Abacus 9")
        run(begun.parent.parent, spec({}, **SHORT), lab_model, any_machine=True, limit=3)
        with pytest.raises(MissingResource):
            run(begun.parent.parent, spec({}, **SHORT), lab_model)
    assert run(begun.parent.parent, spec({}, **SHORT), lab_model).status == "complete"


def test_a_run_that_is_over_may_be_looked_at_anywhere(
    tmp_path: Path, lab_model: EditableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, spec({}, **SHORT), lab_model)
    monkeypatch.setattr(environment, "_cpu", lambda: "Abacus 9")
    assert run(tmp_path, spec({}, **SHORT), lab_model).status == "complete"


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        ("H200", "H200, H200", True),
        ("A100, H200", "H200, A100, A100", True),
        ("A100", "A100, H200", False),
        (None, None, True),
        (None, "H200", False),
    ],
)
def test_the_number_of_gpus_is_no_kind(before: Any, now: Any, same: bool) -> None:
    assert (changed_kind({"cpu": "x", "gpu": before}, {"cpu": "x", "gpu": now}) == []) is same
