"""Editors that game a headline end below the honest one that they imitate: real edits of a pocket model, real runs."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from palimpsest.editors.memit import Memit
from palimpsest.harness.model.catalogue import resolve
from palimpsest.harness.plugins.configuration import resolve_config
from palimpsest.harness.runs.journal import SilentProgress
from palimpsest.harness.runs.loaded_model import load
from palimpsest.harness.runs.run import Run, RunInputs, RunSettings
from palimpsest.harness.runs.score_files import Instruments
from palimpsest.harness.specs.run_spec import EditorRef, ModelRef, RunSpec, Schedule, Scoring, TaskRef
from palimpsest.results.analysis.aggregate import Aggregates, aggregate_run
from palimpsest.results.analysis.effective_edits import THRESHOLDS
from palimpsest.results.reading.run_folder import folder_digest, read_run_folder
from palimpsest.tasks.registry import load_task
from tests.labs.installed import INSTALLED
from tests.plugins.gaming.gaming_editors import DieLate, Lazy, OneDip, Sandbagging, StandStill

EDITS, BATCH = 20, 4
WEARING = {"layers": [0], "second_moment_weight": 2000.0, "clamp_norm_factor": 1.5, "statistics_tokens": 4000}
"""Fields with which MEMIT loses within these few edits what it had at first."""
GAMING = {"lazy": Lazy, "sandbagging": Sandbagging, "stand-still": StandStill, "die-late": DieLate, "one-dip": OneDip}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Aggregates]:
    """Results of MEMIT and of its imitators on one track."""
    home = tmp_path_factory.mktemp("home")
    loaded = load(resolve("pocket-gpt2"), home, texts=INSTALLED.texts)
    task = load_task("pocket-counterfact")
    results = {}
    for name, editor in ({"memit": Memit} | GAMING).items():
        config: dict[str, Any] = resolve_config("memit", "pocket-gpt2", WEARING)
        if editor is DieLate:
            config |= {"dies_at": EDITS}
        loaded.restored()
        spec = RunSpec(
            model=ModelRef(name="pocket-gpt2", fingerprint="f" * 64),
            editor=EditorRef(name=name, config=config, distribution="gaming-editors", version="0.1.0"),
            task=TaskRef(name=task.name, form=task.form, content_hash=task.content_hash),
            schedule=Schedule(edits=EDITS, batch_size=BATCH, checkpoints=(0, 4, 8, 20)),
            scoring=Scoring(),
            abilities=(),
        )
        inputs = RunInputs(
            model=loaded.model,
            make_editor=lambda editor=editor, config=config: editor(editor.Config(**config)),
            instruments=Instruments(loaded.model, lambda edits, cases: []),
            pristine_scores=None,
            damaged=[],
            provenance={},
        )
        run = Run(spec, task.cases[:EDITS], home, inputs=lambda inputs=inputs: inputs,
                  progress=SilentProgress(lambda text: None), settings=RunSettings(), interrupts=None)  # fmt: skip
        folder = run.execute().folder
        results[name] = aggregate_run(read_run_folder(folder, folder_digest(folder)))
    return results


def held(found: Aggregates) -> float:
    assert found.headline.effective_edits.value is not None
    return found.headline.effective_edits.value


@pytest.mark.parametrize("name", GAMING)
def test_an_editor_that_games_ends_below_the_one_that_it_imitates(name: str, found: dict[str, Aggregates]) -> None:
    honest, gaming = held(found["memit"]), held(found[name])
    assert 0 <= gaming < 0.95 * honest, {one: round(held(result), 2) for one, result in found.items()}


def test_the_old_headline_fell_for_them(found: dict[str, Aggregates]) -> None:
    """Use of the tricks: some of them outlast the honest editor against their own start."""
    ends = {name: result.headline.relative["editing"] for name, result in found.items()}
    edits = {name: end.edits if end.edits is not None else EDITS + 1.0 for name, end in ends.items()}
    assert [name for name in GAMING if edits[name] > edits["memit"]], edits


def test_the_runs_are_what_they_say(found: dict[str, Aggregates]) -> None:
    assert {name: one.status for name, one in found.items() if one.status != "complete"} == {"die-late": "collapsed"}
    assert found["die-late"].edits_done == 16 and found["die-late"].imputed == (20,)
    assert all(set(one.headline.until) == set(THRESHOLDS) for one in found.values())


def test_the_package_names_every_editor() -> None:
    project = tomllib.loads((Path(__file__).parent / "gaming" / "pyproject.toml").read_text(encoding="utf-8"))
    named = project["project"]["entry-points"]["palimpsest.editors"]
    assert named == {name: f"gaming_editors:{editor.__name__}" for name, editor in GAMING.items()}
