"""A tiny model and a finished run that tests of the run engine share."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from palimpsest.harness.system import child
from tests.labs import forking

if TYPE_CHECKING:  # torch loads in seconds, which the process that only deals out the tests need not wait for
    from palimpsest.harness.model.editable import EditableModel

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")  # a busy machine is no fault of an example
os.environ["PALIMPSEST_SUBMISSIONS"] = str(Path(__file__).parent / "no-submissions" / "submissions")
"""Nothing: the stores of tests hold the runs that the tests make, whatever this repository has published."""

LONGEST = {
    *("test_same_numbers.py", "torture/test_kills.py", "authoring/test_checks.py", "editors/test_matrix.py"),
    *("plugins/test_new_editor.py", "plugins/test_plugins.py", "submissions/test_forgeries.py"),
    *("fleet/test_ray.py", "cli/test_on_ray.py", "runs/test_kills.py"),
}
"""Ends of the paths of files that take a minute or nearly so."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: a worker that gets one of them last leaves the others without work."""
    items.sort(key=lambda item: not any(item.path.as_posix().endswith(f"/{name}") for name in LONGEST))


def pytest_collection_finish() -> None:
    """Keep the million objects of the imported modules out of every later collection of garbage."""
    gc.collect()
    gc.freeze()
    _at_first.update(_surroundings())


_at_first: dict[str, object] = {}


def _surroundings() -> dict[str, object]:
    """Surroundings that later tests, and the processes that they begin, would see changed for good."""
    kept = {name: os.environ.get(name) for name in ("PATH", "PYTHONPATH", "HOME", "OMP_NUM_THREADS")}
    ours = {name: value for name, value in os.environ.items() if name.startswith("PALIMPSEST_")}
    path = {entry for entry in sys.path if not entry.endswith("thirdparty_files")}  # Ray brings its own
    return {"sys.path": path, "folder": str(Path.cwd()), **kept, **ours}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """Hold every folder of tests to leave the process as it was: the next one may be any, dealt to this worker."""
    yield
    if nextitem is None or nextitem.path.parent != item.path.parent:
        found = _surroundings()
        changed = [name for name in {**_at_first, **found} if _at_first.get(name) != found.get(name)]
        assert not changed, f"tests of {item.path.parent} left these changed: {changed}"


@pytest.fixture(scope="session", autouse=True)
def _forked_children() -> Iterator[None]:
    """Processes of the house are forked from one that is ready; see `tests.labs.forking`."""
    before = child._python
    child._python = forking.python
    yield
    child._python = before
    forking.close()


@pytest.fixture
def new_interpreters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process is begun as it is outside of the tests."""
    monkeypatch.setattr(child, "_python", forking._new_interpreter)


@pytest.fixture(scope="session")
def lab_model() -> EditableModel:
    """The model of `run_lab`; runs undo what others did to it."""
    from tests.labs.run_lab import tiny_model

    return tiny_model()


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, lab_model: EditableModel) -> Path:
    """The folder of an uninterrupted run; not to be changed."""
    from tests.labs.run_lab import SHORT, run, spec

    return run(tmp_path_factory.mktemp("whole"), spec({}, **SHORT), lab_model).folder
