"""The edit tasks by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from palimpsest.harness.errors import UsageError, unknown_name
from palimpsest.harness.requests import Case, EditTask
from palimpsest.tasks import counterfact, zsre
from palimpsest.tasks.pocket import edits
from palimpsest.tasks.pocket.world import build_world
from palimpsest.tasks.records import parse_all


def _pocket_counterfact(name: str, split: edits.Split) -> EditTask:
    records = edits.counterfact_records(build_world(), split)
    return EditTask(name, "counterfact", _parsed(records, counterfact.parse_case))


def _pocket_zsre(name: str, split: edits.Split) -> EditTask:
    return EditTask(name, "zsre", _parsed(edits.zsre_records(build_world(), split), zsre.parse_case))


def _parsed(records: Any, parse: Callable[[Any, int], Case]) -> tuple[Case, ...]:
    return parse_all(((f"pocket record {i}", record) for i, record in enumerate(records)), parse)


_TASKS: dict[str, tuple[str, Callable[[str], EditTask]]] = {
    "pocket-counterfact": (
        "2,662 counterfactual rewrites in the pocket world, CounterFact schema",
        lambda name: _pocket_counterfact(name, "benchmark"),
    ),
    "pocket-counterfact-tuning": (
        "484 rewrites about other subjects, for choosing presets only",
        lambda name: _pocket_counterfact(name, "tuning"),
    ),
    "pocket-zsre": (
        "1,200 question-answer edits in the pocket world, ZsRE form",
        lambda name: _pocket_zsre(name, "benchmark"),
    ),
}
_FILES: dict[str, Callable[[Path, str], EditTask]] = {
    "counterfact": counterfact.load_counterfact,
    "zsre": zsre.load_zsre,
}


def task_names() -> dict[str, str]:
    """Every built-in task with a one-line description; ``counterfact:FILE`` and ``zsre:FILE`` read local files."""
    return {name: description for name, (description, _) in _TASKS.items()}


def load_task(name: str) -> EditTask:
    """The task called ``name``, or the local file behind ``counterfact:FILE`` or ``zsre:FILE``.

    Raises:
        UsageError: If the name is not known; names the near ones.
        ConfigError: If a file holds bad records; lists them.
        MissingResource: If a file is not there.
    """
    form, colon, path = name.partition(":")
    if colon:
        if form not in _FILES:
            raise UsageError(f"Task {name!r}: files are given as counterfact:FILE or zsre:FILE, not {form}:FILE.")
        return _FILES[form](Path(path), f"{form}:{Path(path).name}")
    if name not in _TASKS:
        raise unknown_name("Task", name, _TASKS, "palimpsest list tasks")
    return _TASKS[name][1](name)
