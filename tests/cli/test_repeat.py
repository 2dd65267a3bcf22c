"""The command on a run's page gives the same run again: spec, command, the same id."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from palimpsest.cli.flags import Flags, selected
from palimpsest.cli.verbs import run as run_verb
from palimpsest.cli.wiring import installed_catalog
from palimpsest.harness.specs.planning import PlannedRun, plan
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.site.pages.run import command
from tests.cli.helpers import cli


@pytest.fixture
def repeated(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The specs that a command would run; nothing is run."""

    def specs(text: str) -> list[RunSpec]:
        seen: list[RunSpec] = []

        def carry_out(planned: Sequence[PlannedRun], *_: object) -> list[object]:
            seen.extend(one.spec for one in planned)
            return []

        monkeypatch.setattr(run_verb, "carry_out", carry_out)
        name, *words = shlex.split(text.replace("\\\n", " "))
        assert name == "palimpsest"
        code, _, err = cli(*words)
        assert code == 0, err
        return seen

    return specs


BASE = Flags(model=["pocket-llama"], editor=["memit"], task=["pocket-counterfact"], edits=20)
TWO = {"editor": ["revive(rect(memit))", "ft-l"], "seed": [3], "order_seed": "run", "batch_size": 5}
SAMPLED = {"sample": 7, "scoring_seed": 9, "generation": 4, "generation_tokens": 30, "generation_top_k": 2, "top": True}
PUBLISHED = {"generation": 4, "special_tokens": True, "top": True, "published_top": True}
ABILITIES = {"abilities": ["pocket=11", "pocket_recall"], "set": ["layers=[1]", "target_steps=3"], "order_seed": 0}
ZSRE = {"model": ["pocket-gpt2"], "task": ["pocket-zsre"], "reference_tokenisation": True, "checkpoints": "0,5,20"}


@pytest.mark.parametrize("changes", [{}, TWO, SAMPLED, PUBLISHED, ABILITIES, ZSRE | {"batch_size": 5}])
def test_the_command_of_a_spec_gives_the_same_spec(changes: dict[str, Any], repeated: Any) -> None:
    values = {name: getattr(BASE, name) for name in BASE.__dataclass_fields__} | changes
    suite, place = selected(Flags(**values))
    for one in plan(suite, installed_catalog(), place=place):
        stored = json.loads(one.spec.canonical())
        (again,) = repeated(command(stored))
        assert again == one.spec
        assert again.id == one.spec.id


def test_a_run_of_given_data_is_repeated_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repeated: Any
) -> None:
    record = {
        "case_id": 1, "pararel_idx": 1, "requested_rewrite": {
            "prompt": "{} is in", "subject": "Paris", "relation_id": "P1",
            "target_new": {"str": "Rome", "id": "Q1"}, "target_true": {"str": "France", "id": "Q2"},
        }, "paraphrase_prompts": ["Where? Paris is in"], "neighborhood_prompts": ["Lyon is in"],
        "attribute_prompts": [], "generation_prompts": ["Paris is"],
    }  # fmt: skip
    broken = {"case_id": 2}
    (tmp_path / "my facts.json").write_text(json.dumps([record, broken]))
    monkeypatch.chdir(tmp_path)
    words = ["--model", "pocket-llama", "--editor", "memit", "--task", "counterfact", "--edits", "1"]
    (first,) = repeated(shlex.join(["palimpsest", "run", *words, "--data", "my facts.json", "--skip-bad-records"]))
    assert first.task.skipped == 1
    (again,) = repeated(command(json.loads(first.canonical())))
    assert again.id == first.id


def test_a_limit_below_one_is_refused(repeated: Any) -> None:
    code, _, err = cli("run", "--suite", "smoke", "--abilities", "pocket=0")
    assert code == 2
    assert "expected a number of items from 1" in err
