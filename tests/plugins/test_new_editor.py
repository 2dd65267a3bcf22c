"""`palimpsest new-editor`: the package that it writes works as it is, and wrong names are answered."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from palimpsest.harness.authoring.template import write_package
from palimpsest.harness.errors import UsageError
from tests.plugins.conftest import pip_install


def test_the_package_works_as_it_is(tmp_path: Path) -> None:
    written = write_package("brand-new", tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in written] == [
        "brand-new/README.md",
        "brand-new/pyproject.toml",
        "brand-new/brand_new/__init__.py",
        "brand-new/brand_new/editor.py",
        "brand-new/tests/test_editor.py",
    ]
    metadata = tomllib.loads((tmp_path / "brand-new" / "pyproject.toml").read_text(encoding="utf-8"))
    assert metadata["project"]["entry-points"]["palimpsest.editors"] == {"brand-new": "brand_new.editor:BrandNew"}
    (tmp_path / "build").mkdir()
    pip_install(tmp_path / "brand-new", tmp_path / "site", tmp_path / "build")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    ended = subprocess.run(command, cwd=tmp_path / "brand-new", env=environment, capture_output=True, text=True)
    assert ended.returncode == 0 and "2 passed" in ended.stdout, ended.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Mine", "lower-case words"),
        ("../mine", "lower-case words"),
        ("-mine", "lower-case words"),
        ("mine--too", "lower-case words"),
        ("m" * 61, "at most 60"),
        ("memit", "taken by palimpsest-bench"),
        ("lambda", "Python package"),
        ("tests", "Python package"),
    ],
)
def test_names_that_cannot_be_are_refused_and_nothing_is_written(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        write_package(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.py").write_text("precious", encoding="utf-8")
    with pytest.raises(UsageError, match="is there already"):
        write_package("mine", tmp_path)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["work.py"]


def test_presets_of_a_package_of_ones_own_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from palimpsest.harness.plugins.presets import load_preset

    package = tmp_path / "somebodys"
    (package / "presets" / "theirs").mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "presets" / "theirs" / "pocket-gpt2.toml").write_text("ridge = 3.0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__("somebodys")
    assert load_preset("theirs", "pocket-gpt2", "somebodys") == {"ridge": 3.0}
    assert load_preset("theirs", "../theirs/pocket-gpt2", "somebodys") is None
    assert load_preset("theirs", "pocket-llama", "somebodys") is None
