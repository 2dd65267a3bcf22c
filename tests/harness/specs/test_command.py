"""The table of flags: messages name flags by it, and a spec becomes the command that repeats its run."""

from typing import Any

import pytest
from pydantic import BaseModel

from palimpsest.harness.specs.command import FLAGS, command_words, on_command_line, put
from palimpsest.harness.specs.run_spec import RunSpec
from palimpsest.harness.specs.suite import Suite

FOLLOWS_FROM_CONTENT = {
    "protocol", "model.fingerprint", "model.dtype", "editor.distribution", "editor.version", "task.form",
    "task.content_hash", "task.order_hash", "task.skipped", "statistics",
}  # fmt: skip
"""Fields of a spec that no value of a flag is: they follow from the content of model, data and installation."""

SPEC: dict[str, Any] = {
    "model": {"name": "pocket-llama"},
    "editor": {"name": "revive(memit)", "config": {"tau": 0.2, "host": {"layers": [0, 1], "note": "a b"}}},
    "task": {"name": "counterfact:my file.json", "skipped": 2},
    "schedule": {"edits": 20, "batch_size": 10, "checkpoints": [0, 10, 20], "order_seed": 0},
    "scoring": {"sample": 5, "seed": 3},
    "abilities": [{"name": "a", "limit": 10}, {"name": "b", "limit": None}],
    "seed": 0,
}


def leaves(model: type[BaseModel], before: str = "") -> set[str]:
    """Every field of a model that holds no further model, with dots."""
    found = set()
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found |= leaves(inner, f"{before}{name}.")
        else:
            found.add(f"{before}{name}")
    return found


def test_every_field_of_a_spec_has_a_flag_or_follows_from_content() -> None:
    covered = {flag.spec or flag.suite for flag in FLAGS}
    assert leaves(RunSpec) == covered | FOLLOWS_FROM_CONTENT


def test_every_flag_sets_a_field_that_a_suite_has() -> None:
    inside_editors = {"editors.set"}
    assert {flag.suite for flag in FLAGS} - inside_editors <= leaves(Suite)


@pytest.mark.parametrize(
    ("path", "flag"),
    [
        (("schedule", "checkpoints", 1), "--checkpoints"),
        (("schedule",), "--edits, --batch-size, --checkpoints"),
        (("editors", 0, "name"), "--editor"),
        (("editors", 0, "set", "layers"), "--set"),
        (("scoring", "generation", "top_k"), "--generation-top-k"),
        (("scoring", "generation"), "--generation"),
        (("abilities",), "--abilities"),
        (("seeds", 3), "--seed"),
        (("name",), "name"),
        ((), "command line"),
    ],
)
def test_a_field_is_told_by_its_flag(path: tuple[str | int, ...], flag: str) -> None:
    assert on_command_line(path) == flag


def test_a_spec_becomes_the_flags_that_repeat_its_run() -> None:
    assert list(command_words(SPEC, {"b"})) == [
        ("--model", "pocket-llama"),
        ("--editor", "revive(memit)"),
        ("--task", "counterfact"),
        ("--data", "my file.json"),
        ("--skip-bad-records", ""),
        ("--edits", "20"),
        ("--batch-size", "10"),
        ("--checkpoints", "0,10,20"),
        ("--order-seed", "0"),
        ("--sample", "5"),
        ("--scoring-seed", "3"),
        ("--abilities", "a=10"),
        ("--abilities", "b"),
        ("--ability-data", "DIR"),
        ("--seed", "0"),
        ("--set", "host.layers=[0, 1]"),
        ("--set", 'host.note="a b"'),
        ("--set", "tau=0.2"),
    ]


def test_abilities_with_one_limit_share_a_flag_and_none_are_said_to_be_none() -> None:
    shared = SPEC | {"abilities": [{"name": "a", "limit": 10}, {"name": "b", "limit": 10}], "statistics": "0" * 64}
    words = [word for word in command_words(shared) if word[0].startswith(("--ab", "--st"))]
    assert words == [("--abilities", "a"), ("--abilities", "b"), ("--ability-limit", "10"), ("--stats-text", "TEXT")]
    assert ("--abilities", "none") in list(command_words(SPEC | {"abilities": []}))


def test_setting_a_field_changes_no_part_that_others_hold() -> None:
    before = {"schedule": {"edits": 1}}
    values: dict[str, Any] = dict(before)
    put(values, "schedule.edits", 2)
    put(values, "scoring.generation.cases", 3)
    assert values == {"schedule": {"edits": 2}, "scoring": {"generation": {"cases": 3}}}
    assert before == {"schedule": {"edits": 1}}
