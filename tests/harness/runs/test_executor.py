"""What runs of one process share, replaying edits, and time predicted from past runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from palimpsest.cli.run_folders import move_aside
from palimpsest.harness.errors import RunFailed, UsageError
from palimpsest.harness.model.digests import parameter_digests
from palimpsest.harness.model.placement import Placement
from palimpsest.harness.runs import executor
from palimpsest.harness.runs.journal import SilentProgress
from palimpsest.harness.runs.pristine_scores import PristineScores
from palimpsest.harness.runs.reading import run_state
from palimpsest.harness.runs.replay import replay
from palimpsest.harness.runs.run import RunOutcome
from palimpsest.harness.runs.saves import Save, Saves
from palimpsest.harness.specs.cases import EditTask
from palimpsest.harness.specs.model_entry import ModelEntry
from palimpsest.harness.specs.planning import PlannedRun
from palimpsest.harness.system.locks import Held
from tests.labs.installed import INSTALLED
from tests.labs.run_lab import (
    SHORT,
    EditableModel,
    Nudge,
    NudgeConfig,
    cases,
    copied,
    flip,
    results,
    run,
    spec,
    tiny_instruments,
    tiny_model,
)


def _all(plans: list[PlannedRun], home: Path) -> list[RunOutcome]:
    """The runs, one after another, as one executor does them."""
    one = executor.Executor(home, progress=SilentProgress(), installed=INSTALLED)
    return [one.execute(planned) for planned in plans]


def test_pristine_scores_are_shared_and_verified(tmp_path: Path, lab_model: EditableModel) -> None:
    first, second = spec({}, **SHORT), spec({"rate": 0.1}, **SHORT)
    shared = [PristineScores(tmp_path / "cache", s, {"torch": "1"}) for s in (first, second)]
    assert shared[0].folder == shared[1].folder
    counts = []
    for run_spec, scores in zip((first, second), shared, strict=True):
        scored: list[int] = []
        instruments = tiny_instruments(lab_model, scored)
        run(tmp_path, run_spec, lab_model, instruments=instruments, pristine_scores=scores)
        counts.append(len(scored))
    assert counts == [3, 2]
    flip(shared[0].folder / "answers.parquet", 99)
    assert shared[0].find() is None
    assert PristineScores(tmp_path / "cache", first, {"torch": "2"}).folder != shared[0].folder


def test_replay_reaches_any_batch_boundary(whole: Path, tmp_path: Path, lab_model: EditableModel) -> None:
    run_spec, cold = spec({}, **SHORT), copied(whole, tmp_path)
    shutil.rmtree(cold / "checkpoints")

    def weights_at(edits: int, folder: Path = whole, rate: float = 0.05) -> dict[str, torch.Tensor]:
        editing = replay(
            folder,
            run_spec,
            cases(4),
            edits,
            model=lab_model,
            make_editor=lambda: Nudge(NudgeConfig(rate=rate)),
        )
        return lab_model.read_weights(editing.written)

    saves = Saves(whole / "checkpoints", run_spec.id)
    for edits in (2, 4):
        stored = saves.read(Save(edits, whole / "checkpoints" / f"{edits:06d}"))[0]
        for found in (weights_at(edits), weights_at(edits, cold)):
            assert all(torch.equal(tensor, stored[name]) for name, tensor in found.items())
    between = weights_at(3)
    assert all(torch.equal(tensor, between[name]) for name, tensor in weights_at(3, cold).items())
    with pytest.raises(UsageError, match=r"4 edits in batches of 1\. Near are 3 and 4"):
        weights_at(5)
    with pytest.raises(RunFailed, match="report differs"):
        weights_at(3, cold, rate=1.0)


def test_runs_of_one_process_share_a_model_that_is_restored_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []

    def load(entry: ModelEntry, home: Path, *, expected: str, **_: object) -> executor.LoadedModel:
        loads.append(entry.name)
        fresh = tiny_model()
        return executor.LoadedModel(fresh, fresh.resources, expected, parameter_digests(fresh.model))

    monkeypatch.setattr(executor, "load", load)
    monkeypatch.setattr(executor, "require", lambda *_: None)
    monkeypatch.setattr(executor, "build_editor", lambda name, config: Nudge(NudgeConfig(**config)))
    task = EditTask("tiny", "counterfact", tuple(cases(4)))
    plans = [
        PlannedRun(spec(config, **SHORT).model_copy(update={"abilities": ()}), ModelEntry("tiny", None), task)
        for config in ({}, {"fail_at": 101}, {"trespass_at": 100}, {"rate": 0.1})
    ]
    outcomes = _all(plans, tmp_path)
    assert [outcome.status for outcome in outcomes] == ["complete", "failed", "failed", "complete"]
    assert len(loads) == 2  # the third run left a parameter behind that cannot be undone
    alone = _all(plans[3:], tmp_path / "alone")[0]
    assert results(alone.folder) == results(outcomes[3].folder)
    assert len(list((tmp_path / "models").glob("*/scores/*"))) == 1
    _all(plans[:1], tmp_path)
    assert len(loads) == 3  # a run that is done loads nothing
    moved = move_aside(tmp_path, plans[0].spec.id)
    assert moved is not None and moved.parent == tmp_path / "replaced"
    assert str(run_state(tmp_path, plans[0].spec)) == "missing"


def test_pristine_abilities_are_shared_between_runs_over_other_edits(tmp_path: Path) -> None:
    from palimpsest.harness.abilities.ability_harness import AbilityHarness
    from palimpsest.harness.runs.instruments import AbilityRounds
    from palimpsest.harness.runs.pristine_scores import PristineAbilities
    from palimpsest.tasks.ability_library import ability_refs
    from tests.labs import tiny_models

    model = tiny_models.tiny_model("llama")
    refs = ability_refs(["pocket_recall", "pocket_addition"], 6)
    asked: list[list[str]] = []

    class Counted(AbilityHarness):
        def evaluate(self, names: object = None, **other: object) -> object:  # type: ignore[override]
            asked.append(list(names or ["all"]))  # type: ignore[call-overload]
            return super().evaluate(names, **other)  # type: ignore[arg-type]

    def ask(environment: dict[str, str], edits: int = 0) -> object:
        store = PristineAbilities(tmp_path, environment)
        return AbilityRounds(Counted(model, refs, library=INSTALLED.abilities), refs, store)(edits, ())

    first = ask({"torch": "1"})
    assert ask({"torch": "1"}) == first
    assert asked == [["pocket_recall", "pocket_addition"], ["all"]], "the second time nothing is left to ask"
    asked.clear()
    damaged = next((tmp_path / "abilities").glob("*/abilities.parquet"))
    flip(damaged, 50)
    assert ask({"torch": "1"}) == first and len(asked[0]) == 1, "a damaged outcome is measured again, alone"
    asked.clear()
    ask({"torch": "2"})
    ask({"torch": "1"}, edits=5)
    assert asked == [["pocket_recall", "pocket_addition"], ["all"]], "edited models are always asked"


class Codebook(Nudge):
    """An editor that works beside the weights."""

    writes_weights = False


def test_an_editor_that_says_it_writes_no_weights_is_refused_by_vllm_before_the_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "complete", lambda name: [(name, Codebook)])
    monkeypatch.setattr(executor, "load", lambda *_, **__: pytest.fail("the model was loaded"))
    planned = PlannedRun(spec({}, **SHORT), ModelEntry("tiny", None), EditTask("tiny", "counterfact", tuple(cases(4))))
    placement = Placement(engine="vllm")
    one = executor.Executor(tmp_path, progress=SilentProgress(), installed=INSTALLED, placement=placement)
    with pytest.raises(UsageError, match="Engine vllm: editor nudge writes no weights.*Use --engine hf"):
        one.execute(planned)
    assert not (tmp_path / "runs").exists()


def test_what_nobody_else_makes_is_made_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process collects key statistics, this one scores the unedited model, and does not wait."""
    model = tiny_model()
    made = executor.LoadedModel(model, model.resources, model.fingerprint, parameter_digests(model.model))
    monkeypatch.setattr(executor, "load", lambda *_, **__: made)
    monkeypatch.setattr(executor, "require", lambda *_: None)
    task = EditTask("tiny", "counterfact", tuple(cases(4)))
    planned = PlannedRun(spec({}, **SHORT).model_copy(update={"abilities": ()}), ModelEntry("tiny", None), task)
    asked: list[tuple[list[int], int]] = []

    def busy(layers: list[int], tokens: int, *, wait: bool) -> None:
        asked.append((layers, tokens))
        raise Held

    monkeypatch.setattr(model.resources, "second_moments", busy)
    one = executor.Executor(tmp_path, progress=SilentProgress(), installed=INSTALLED)
    assert not one.prepare(planned, {100: {2, 1}}) and asked == [([1, 2], 100)]
    (scores,) = (tmp_path / "models").glob("*/scores/*")
    monkeypatch.setattr(model.resources, "second_moments", lambda *_, **__: None)
    monkeypatch.setattr(executor, "measure", lambda *_: pytest.fail("they are there"))
    assert one.prepare(planned, {100: {2, 1}}) and scores.is_dir()
