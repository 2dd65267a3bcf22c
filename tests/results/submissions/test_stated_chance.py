"""The level of chance that a shipped task states is read from its file, whatever stands behind it."""

from __future__ import annotations

import pytest
import yaml

from palimpsest.results.submissions.known import _stated_chance
from palimpsest.tasks.ability_files import _Loader
from palimpsest.tasks.ability_library import local_tasks, own_tasks

TASKS = {**local_tasks(), **own_tasks()}


@pytest.mark.parametrize("name", TASKS)
def test_the_stated_level_of_chance_is_that_of_the_task(name: str) -> None:
    content = yaml.load(TASKS[name].read_text(encoding="utf-8"), _Loader)
    assert _stated_chance(name) == content["metadata"]["chance"]


def test_a_task_of_somebody_else_states_none() -> None:
    assert _stated_chance("not_shipped") is None
