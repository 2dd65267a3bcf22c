"""`palimpsest new-editor`: the package that it writes works as it is, and wrong names are answered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from palimpsest.harness.authoring.checks import CHECKS
from palimpsest.harness.authoring.template import KINDS, write_package
from palimpsest.harness.errors import UsageError
from tests.plugins.conftest import Shell, pip_install

COURSE = (
    *("--model", "pocket-gpt2", "--task", "pocket-counterfact"),
    *("--edits", "8", "--batch-size", "4", "--checkpoints", "0,4,8", "--sample", "8"),
)


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


@pytest.fixture(scope="module")
def of_each_kind(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """One package of each kind, written by the command line and installed."""
    folder = tmp_path_factory.mktemp("authors")
    shell = Shell(folder / "site", folder)
    (folder / "build").mkdir()
    for kind in KINDS:
        out = shell("new-editor", f"brand-new-{kind}", "--kind", kind)
        assert f"palimpsest check brand-new-{kind}" in out
        pip_install(folder / f"brand-new-{kind}", folder / "site", folder / "build")
    return shell


@pytest.mark.parametrize("kind", KINDS)
def test_the_test_of_each_kind_passes(kind: str, of_each_kind: Shell) -> None:
    """Its first half, about its mathematics; the second is a part of what `check` does below."""
    environment = os.environ | {"PYTHONPATH": str(of_each_kind.place)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not promise", "tests"]
    folder = of_each_kind.home / f"brand-new-{kind}"
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0 and "1 passed" in ended.stdout, ended.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_passes_the_checks(kind: str, of_each_kind: Shell) -> None:
    """C10, two whole runs, is done for one kind; test_plugins.py does it for others."""
    chosen = [name for name in CHECKS if name != "C10" or kind == "pipeline"]
    printed = of_each_kind("check", f"brand-new-{kind}", "--only", ",".join(chosen), "--json")
    report = json.loads(printed[printed.index("{") :])
    assert {c["id"]: c["observed"] for c in report["checks"] if c["status"] != "ok"} == {}
    assert len(report["checks"]) == len(chosen)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_finishes_a_short_run_in_which_it_learns(kind: str, of_each_kind: Shell) -> None:
    of_each_kind("run", "--editor", f"brand-new-{kind}", *COURSE, "--quiet")
    printed = of_each_kind("list", "runs", "--json")
    (run,) = [r for r in json.loads(printed[printed.index("[") :]) if r["editor"] == f"brand-new-{kind}"]
    shown = of_each_kind("show", run["run"], "--json")
    metrics = json.loads(shown[shown.index("{") :])["scores"]["metrics"]["all"]
    assert run["status"] == "complete" and metrics["efficacy_preference"] >= 75, metrics


def test_a_kind_that_does_not_exist_is_answered_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="weights"):
        write_package("mine", tmp_path, "weight")
    assert list(tmp_path.iterdir()) == []


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
        ("json", "Python's own module json"),
        ("site", "Python's own module site"),
        ("torch", "installed module torch"),
        ("numpy", "installed module numpy"),
        ("yaml", "installed module yaml"),
        ("scikit-learn", "installed distribution scikit-learn"),
        ("vllm", "Palimpsest itself asks for"),
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
