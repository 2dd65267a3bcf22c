from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from palimpsest.harness.abilities.ability_harness import AbilityHarness
from palimpsest.harness.errors import ConfigError, UsageError
from palimpsest.tasks.ability_library import AbilityLibrary, ability_groups, ability_names, ability_refs
from tests.labs.ability_tasks import write_tasks
from tests.labs.tiny_models import tiny_model

WORDS = ["chess", "football", "the violin", "cricket by the river", "Oslo", "Brno", "Lyon"]
PEOPLE = ["Anna Sorel", "Petr Novak", "Zoë Müller", "Marie Duval"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two tasks, of four choices and of two, and a group of both."""
    rng = random.Random(0)
    write_tasks(tmp_path, {"sports": rows(rng, choices=4), "cities": rows(rng, choices=2)})
    (tmp_path / "groups.toml").write_text('both = ["sports", "cities"]\n')
    return tmp_path


def rows(rng: random.Random, choices: int) -> list[dict[str, Any]]:
    found = []
    for _ in range(20):
        words, answer = rng.sample(WORDS, choices), rng.randrange(choices)
        found.append({"text": f"{rng.choice(PEOPLE)} likes", "choices": words, "answer": answer})
    return found


def test_names_groups_and_content(folder: Path) -> None:
    assert ability_names(folder) == ("cities", "sports")
    assert ability_groups(folder)["both"].local == ("sports", "cities")
    refs = ability_refs(["both", "sports"], 5, folder=folder)
    assert [(ref.name, ref.limit) for ref in refs] == [("sports", 5), ("cities", 5)]
    with pytest.raises(UsageError, match="Did you mean 'sports'"):
        ability_refs(["sport"], None, folder=folder)
    with (folder / "sports.jsonl").open("a") as file:
        file.write("\n")
    changed = ability_refs(["both"], 5, folder=folder)
    assert changed[0].content_hash != refs[0].content_hash and changed[1] == refs[1]
    with pytest.raises(ConfigError, match="changed since"):
        AbilityHarness(tiny_model("llama"), refs, library=AbilityLibrary(folder=folder))


def test_group_with_a_missing_task(folder: Path) -> None:
    (folder / "cities.yaml").unlink()
    with pytest.raises(UsageError, match="without a file: cities"):
        ability_refs(["both"], None, folder=folder)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@pytest.mark.parametrize("bos", [True, False])
def test_equals_plain_lm_eval_at_every_call(folder: Path, architecture: str, bos: bool) -> None:
    from lm_eval import evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    model = tiny_model(architecture, bos=bos)
    harness = AbilityHarness(model, ability_refs(["both"], None, folder=folder), library=AbilityLibrary(folder=folder))
    tasks = TaskManager(include_path=str(folder), include_defaults=False).load(["sports", "cities"])
    plain = HFLM(pretrained=model.model, tokenizer=model.tokenizer, batch_size=4)
    for _ in range(2):
        expected = evaluate(lm=plain, task_dict=tasks, bootstrap_iters=0)
        found = harness.evaluate()
        for outcome in found:
            assert outcome.score == pytest.approx(expected["results"][outcome.name]["acc,none"])
            samples = expected["samples"][outcome.name]
            assert [item.correct for item in outcome.items] == [bool(sample["acc"]) for sample in samples]
            assert [item.item for item in outcome.items] == list(range(20))
        assert [(o.name, o.metric, o.chance) for o in found] == [("sports", "acc", 0.25), ("cities", "acc", 0.5)]
        noise = torch.randn(model.weight(1).shape, generator=torch.Generator().manual_seed(1))
        model.add_update(1, 5 * noise)  # the second round sees the edit


def test_limit_takes_the_first_items(folder: Path) -> None:
    model = tiny_model("llama")
    whole = AbilityHarness(
        model, ability_refs(["sports"], None, folder=folder), library=AbilityLibrary(folder=folder)
    ).evaluate()
    part = AbilityHarness(
        model, ability_refs(["sports"], 7, folder=folder), library=AbilityLibrary(folder=folder)
    ).evaluate()
    assert part[0].items == whole[0].items[:7]
    more = AbilityHarness(
        model, ability_refs(["sports"], 70, folder=folder), library=AbilityLibrary(folder=folder)
    ).evaluate()
    assert more[0].items == whole[0].items


def test_leaves_generators_and_modes_alone_and_is_silent(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = tiny_model("gpt2")
    model.model.train()
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    harness = AbilityHarness(model, ability_refs(["both"], None, folder=folder), library=AbilityLibrary(folder=folder))
    assert harness.evaluate() == harness.evaluate()
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert model.model.training and torch.is_grad_enabled()
    assert capfd.readouterr() == ("", "")


def test_broken_model_answers_nothing_right(folder: Path) -> None:
    model = tiny_model("llama")
    harness = AbilityHarness(model, ability_refs(["both"], None, folder=folder), library=AbilityLibrary(folder=folder))
    model.add_update(1, torch.full_like(model.weight(1), float("nan")))
    assert [outcome.score for outcome in harness.evaluate()] == [0, 0]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("chance: 0.25", "chance: true", "metadata.chance: expected a number from 0 to below 1, got True"),
        ("chance: 0.25", "chance: 1.5", "got 1.5"),
        ("code.load_sports", "code.load_chess", "cannot be loaded"),
    ],
)
def test_tasks_that_do_not_fit_are_named(folder: Path, old: str, new: str, words: str) -> None:
    path = folder / "sports.yaml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=words):
        AbilityHarness(
            tiny_model("llama"), ability_refs(["sports"], None, folder=folder), library=AbilityLibrary(folder=folder)
        )


def test_without_a_stated_chance_it_comes_from_the_choices(folder: Path) -> None:
    path = folder / "sports.yaml"
    path.write_text(path.read_text().replace("chance: 0.25", "other: 1"))
    harness = AbilityHarness(
        tiny_model("llama"), ability_refs(["sports"], 5, folder=folder), library=AbilityLibrary(folder=folder)
    )
    assert harness.evaluate()[0].chance == 0.25


def test_what_was_answered_is_kept_with_what_was_right(folder: Path) -> None:
    harness = AbilityHarness(
        tiny_model("llama"), ability_refs(["sports"], None, folder=folder), library=AbilityLibrary(folder=folder)
    )
    asked = [json.loads(line) for line in (folder / "sports.jsonl").read_text().splitlines()]
    (outcome,) = harness.evaluate()
    assert [item.label for item in outcome.items] == [row["answer"] for row in asked]
    assert all(item.correct == (item.predicted == item.label) for item in outcome.items)
    assert len({item.predicted for item in outcome.items}) > 1


def test_only_the_tasks_asked_for_are_evaluated(folder: Path) -> None:
    harness = AbilityHarness(
        tiny_model("llama"), ability_refs(["both"], 5, folder=folder), library=AbilityLibrary(folder=folder)
    )
    assert [outcome.name for outcome in harness.evaluate(["cities"])] == ["cities"]
    assert set(harness.items_hashes) == {"sports", "cities"}


def test_no_tasks(folder: Path) -> None:
    assert AbilityHarness(tiny_model("llama"), (), library=AbilityLibrary(folder=folder)).evaluate() == []
