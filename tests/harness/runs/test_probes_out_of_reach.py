"""While an editor works, nothing that will be asked about its edits is an object of the process."""

from __future__ import annotations

import gc
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from palimpsest.harness.editor import EditReport
from palimpsest.harness.model.digests import parameter_digests
from palimpsest.harness.model.editable import EditableModel
from palimpsest.harness.runs import executor
from palimpsest.harness.runs.journal import SilentProgress
from palimpsest.harness.specs.cases import Case, EditRequest, EditTask, Probe
from palimpsest.harness.specs.model_entry import ModelEntry
from palimpsest.harness.specs.planning import PlannedRun
from palimpsest.tasks.registry import load_task
from tests.labs.installed import INSTALLED
from tests.labs.run_lab import SHORT, Nudge, NudgeConfig, cases, results, run, spec, tiny_model

PARAPHRASE = re.compile(r"w52 w\d+ w53")
"""Prompts of the lab that only probes have."""


def reachable() -> list[object]:
    """Cases, probes and prompts of probes that a walk through the objects of the process comes to."""
    found: list[object] = []
    for thing in gc.get_objects():
        if isinstance(thing, Case | Probe):
            found.append(thing)
        found += [text for text in gc.get_referents(thing) if isinstance(text, str) and PARAPHRASE.fullmatch(text)]
    return found


def new(before: Sequence[object]) -> list[object]:
    """Those that were not there before: other modules of tests hold cases of their own."""
    known = {id(thing) for thing in before}
    return [thing for thing in reachable() if id(thing) not in known]


class Walker(Nudge):
    """Walks through all objects before each batch, and when it prepares."""

    before: list[object] = []  # noqa: RUF012
    found: list[list[object]] = []  # noqa: RUF012

    def prepare(self, model: EditableModel) -> None:
        self.found.append(new(self.before))
        super().prepare(model)

    def edit(self, batch: Sequence[EditRequest]) -> EditReport:
        self.found.append(new(self.before))
        return super().edit(batch)


def test_an_editor_that_walks_through_all_objects_of_a_run_finds_no_probe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(entry: ModelEntry, home: Path, *, expected: str, **_: object) -> executor.LoadedModel:
        fresh = tiny_model()
        return executor.LoadedModel(fresh, fresh.resources, expected, parameter_digests(fresh.model))

    monkeypatch.setattr(executor, "load", load)
    monkeypatch.setattr(executor, "require", lambda *_: None)
    monkeypatch.setattr(executor, "build_editor", lambda name, config: Walker(NudgeConfig(**config)))
    monkeypatch.setattr(Walker, "found", [])
    monkeypatch.setattr(Walker, "before", reachable())
    run_spec = spec({}, **SHORT).model_copy(update={"abilities": ()})
    planned = PlannedRun(run_spec, ModelEntry("tiny", None), EditTask("tiny", "counterfact", cases(4)))
    outcome = executor.Executor(tmp_path, progress=SilentProgress(), installed=INSTALLED).execute(planned)
    assert outcome.status == "complete"
    assert Walker.found == [[]] * 5
    plain = run(tmp_path / "plain", spec({}, **SHORT).model_copy(update={"abilities": ()}))
    packed, loose = (
        {name: digest for name, digest in results(folder).items() if not name.endswith("abilities.parquet")}
        for folder in (outcome.folder, plain.folder)  # the lab's own instruments make up abilities
    )
    assert packed == loose, "packed cases give the bits of plain ones"


def test_a_loaded_task_keeps_no_probe_in_memory_and_gives_the_cases_that_were_packed() -> None:
    before = reachable()
    task = load_task("pocket-zsre")
    gc.collect()
    assert new(before) == []
    assert len(task.cases) == 1200 and task.cases[3] == list(task.cases)[3] == task.cases[2:5][1]
    turned = task.ordered(range(1199, -1, -1))
    assert turned[0] == task.cases[1199] and turned[-1] == task.cases[0]
    assert EditTask("again", "zsre", list(task.cases)).cases == task.cases
    assert EditTask("again", "zsre", turned).content_hash != task.content_hash
