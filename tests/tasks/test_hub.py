"""Data from the hub, with the hub played: which repository, revision, split and file are asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import datasets
import huggingface_hub
import pytest

from palimpsest.harness.errors import MissingResource
from palimpsest.tasks.registry import load_task
from tests.fuzz.test_damaged_data import counterfact, zsre

WHOLE = "00f0042" + "a" * 33


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was asked of the hub; CounterFact's records are dealt over two splits as there."""
    calls: list[dict[str, Any]] = []

    def load_dataset(repository: str, **how: Any) -> Any:
        calls.append({"repository": repository, **how})
        if repository == "azhx/counterfact":
            numbers = {"train": [0, 1, 3, 4], "test": [2, 5]}[how["split"]]
            records = [counterfact(number) for number in numbers]
            for record in records:
                if record["case_id"] == 15:  # asks another thing of the subject of the first record
                    record["requested_rewrite"]["target_new"]["str"] = "Rome"
            return datasets.Dataset.from_list(records)
        return datasets.Dataset.from_list([zsre(number) for number in range(3)])

    class Api:
        def list_repo_commits(self, repository: str, *, repo_type: str) -> Any:
            assert (repository, repo_type) == ("wangzn2001/Model_Editing_Hurt", "dataset")
            return [SimpleNamespace(commit_id=commit) for commit in ("b" * 40, WHOLE)]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    return calls


def test_counterfact_comes_from_a_pinned_revision_in_the_order_of_the_published_file(asked: list[Any]) -> None:
    task = load_task("counterfact")
    assert (task.name, task.form) == ("counterfact", "counterfact")
    assert [case.request.case_id for case in task.cases] == [0, 3, 6, 9, 12, 15]
    assert [(call["split"], call["revision"]) for call in asked] == [
        ("train", "c01c413f856ee38f5c080c9fc5e87aff478e2ff9"),
        ("test", "c01c413f856ee38f5c080c9fc5e87aff478e2ff9"),
    ]
    assert task.origin is not None and task.origin.source == "azhx/counterfact@c01c413f856e"
    assert task.origin.notes[0] == "counterfact: 6 records; published are 21,919."


def test_multi_counterfact_is_the_consistent_part_of_the_same_data(asked: list[Any]) -> None:
    task = load_task("multi-counterfact")
    assert [case.request.case_id for case in task.cases] == [3, 6, 9, 12], "0 and 15 want the same of one subject"
    assert {call["repository"] for call in asked} == {"azhx/counterfact"}


def test_zsre_is_one_file_at_the_commit_that_its_short_name_means(asked: list[Any]) -> None:
    task = load_task("zsre")
    assert (len(task.cases), task.form) == (3, "zsre")
    (call,) = asked
    assert (call["data_files"], call["revision"]) == ("training-data/zsre_mend_eval.json", WHOLE)


def test_without_hub_and_without_file_both_ways_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> Any:
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    for name in ("counterfact", "multi-counterfact"):
        with pytest.raises(MissingResource, match=r"azhx/counterfact@c01c413f856e .*ConnectionError.*hub, or .*--data"):
            load_task(name)


def test_a_commit_that_is_gone_is_no_other_commit(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: SimpleNamespace(list_repo_commits=lambda *_, **__: []))
    with pytest.raises(MissingResource, match="Model_Editing_Hurt@00f0042 cannot be read"):
        load_task("zsre")
    assert asked == []
