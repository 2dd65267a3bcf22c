from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.labs.synthetic import SyntheticRun, write_run, write_suite

SMALL = (0, 10, 20, 40)


@pytest.fixture(scope="session")
def suite_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole synthetic suite; read only."""
    runs = tmp_path_factory.mktemp("suite") / "runs"
    write_suite(runs)
    return runs


@pytest.fixture(scope="session")
def _small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("small") / "runs"
    for run in small_runs():
        write_run(runs, run)
    return runs


@pytest.fixture
def runs(_small: Path, tmp_path: Path) -> Path:
    """Three small runs of one track, in a folder of the test's own: finished, partial, collapsed."""
    return Path(shutil.copytree(_small, tmp_path / "runs"))


@pytest.fixture
def lone(_small: Path, tmp_path: Path) -> Path:
    """The folder of the finished one of `small_runs`, alone in a folder of runs of the test's own."""
    name = small_runs()[0].spec().id
    return Path(shutil.copytree(_small / name, tmp_path / "runs" / name))


def small_runs() -> list[SyntheticRun]:
    common = SyntheticRun(checkpoints=SMALL, batch_size=10, neighborhood=2)
    return [
        replace(common, editor="memit", half=30, abilities_half=60),
        replace(common, editor="alphaedit", half=900, status="partial", stops_at=20),
        replace(common, editor="ft-l", half=15, status="collapsed", stops_at=30),
    ]


def honest_run() -> SyntheticRun:
    """A finished run of which model, editor, texts and items ship: fit to be submitted."""
    return replace(small_runs()[0], shipped=True)
