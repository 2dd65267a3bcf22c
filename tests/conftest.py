"""A tiny model and a finished run that tests of the run engine share."""

from __future__ import annotations

from pathlib import Path

import pytest

from palimpsest.harness.model.editable import EditableModel


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
