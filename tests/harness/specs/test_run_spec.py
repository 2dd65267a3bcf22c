from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from palimpsest.harness.specs.run_spec import Generation, RunSpec, Scoring
from tests.labs import run_lab


def with_scoring(**values: Any) -> RunSpec:
    return run_lab.spec().model_copy(update={"scoring": Scoring(**values)})


def test_what_came_later_is_left_out_at_its_default_so_that_runs_keep_their_ids() -> None:
    assert Scoring().model_dump() == {"sample": None, "seed": 0}
    assert Generation().model_dump() == {"cases": 0, "tokens": 100, "top_k": 5}
    assert with_scoring().id == run_lab.spec().id
    assert run_lab.spec().model_copy(update={"protocol": 1}).id == "86fe760f8d3f", "of protocol 1"
    assert run_lab.spec().id != "86fe760f8d3f"


@pytest.mark.parametrize(
    "values",
    [
        {"generation": Generation(cases=5)},
        {"generation": Generation(cases=5, special_tokens=True)},
        {"top": True},
        {"top": True, "published_top": True},
        {"reference_tokenisation": True},
    ],
)
def test_what_is_asked_for_is_part_of_the_identity(values: dict[str, Any]) -> None:
    spec = with_scoring(**values)
    assert spec.id != run_lab.spec().id and spec.track_id != run_lab.spec().track_id
    assert RunSpec.model_validate_json(spec.canonical()) == spec


def test_a_task_drops_what_it_has_no_use_for() -> None:
    asked = Scoring(sample=7, generation=Generation(cases=5), top=True, reference_tokenisation=True)
    assert asked.for_form("zsre") == Scoring(sample=7, top=True, reference_tokenisation=True)
    assert asked.for_form("counterfact") == Scoring(sample=7, top=True, generation=Generation(cases=5))
    assert Scoring(generation=Generation(cases=0, tokens=50)).for_form("counterfact") == Scoring()


def test_comparing_with_the_unedited_model_needs_a_checkpoint_before_the_edits() -> None:
    schedule = {"edits": 8, "batch_size": 1, "checkpoints": (2, 8)}
    values = run_lab.spec().model_dump() | {"schedule": schedule, "scoring": {"top": True}}
    with pytest.raises(ValidationError, match="needs a checkpoint at 0 edits"):
        RunSpec.model_validate(values)


def test_published_forms_of_that_comparison_go_with_our_own() -> None:
    with pytest.raises(ValidationError, match="published_top goes with scoring.top"):
        RunSpec.model_validate(run_lab.spec().model_dump() | {"scoring": {"published_top": True}})
