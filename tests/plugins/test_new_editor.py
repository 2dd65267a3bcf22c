"""`palimpsest new-editor`: the package that it writes works as it is, and wrong names are answered."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from palimpsest.harness.authoring.checks import CHECKS
from palimpsest.harness.authoring.template import KINDS, write_package
from palimpsest.harness.errors import UsageError
from tests.plugins.conftest import Shell, pip_install

COURSE = (
    *("--model", "pocket-gpt2", "--task", "pocket-counterfact"),
    *("--edits", "8", "--batch-size", "4", "--checkpoints", "0,4,8", "--sample", "8"),
)
DONE = {kind: [name for name in CHECKS if name != "C10"] for kind in KINDS}
"""Checks of the editor of each kind; C10, two whole runs, is done for one kind, and by test_plugins.py for others."""
DONE["pipeline"] = [name for name in CHECKS if name <= "C10"]  # the test in its package does the rest


def test_the_package_holds_an_editor_and_its_test(tmp_path: Path) -> None:
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


@pytest.fixture(scope="module")
def of_each_kind(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """One package of each kind, written by the command line and installed."""
    folder = tmp_path_factory.mktemp("authors")
    shell = Shell(folder / "site", folder)
    (folder / "build").mkdir()
    for kind in KINDS:
        told = shell("new-editor", f"brand-new-{kind}", "--kind", kind)
        assert f"palimpsest check brand-new-{kind}" in told
    pip_install(folder / "site", folder / "build", *(folder / f"brand-new-{kind}" for kind in KINDS))
    return shell


def test_the_tests_of_each_package_pass(of_each_kind: Shell) -> None:
    """The one about the checks for one kind; the other kinds are checked below."""
    how = ("-q", "-p", "no:cacheprovider", "--import-mode", "importlib")
    assert "2 passed" in of_each_kind.pytest(*how, "brand-new-pipeline/tests")
    others = [f"brand-new-{kind}/tests" for kind in KINDS if kind != "pipeline"]
    assert f"{len(others)} passed" in of_each_kind.pytest(*how, "-k", "not promise", *others)


@pytest.fixture(scope="module")
def checks(of_each_kind: Shell) -> dict[str, list[dict[str, Any]]]:
    """Findings of each check about the editor of each kind, but for what is left out below."""
    found = {}
    for kind in KINDS:
        told = of_each_kind("check", f"brand-new-{kind}", "--json", "--only", ",".join(DONE[kind]))
        found[kind] = json.loads(told[told.index("{") :])["checks"]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_passes_the_checks(kind: str, checks: dict[str, list[dict[str, Any]]]) -> None:
    assert {c["id"]: c["observed"] for c in checks[kind] if c["status"] != "ok"} == {}
    assert [c["id"] for c in checks[kind]] == DONE[kind]


@pytest.fixture(scope="module")
def shown(of_each_kind: Shell) -> dict[str, dict[str, Any]]:
    """A short run of each kind, as `palimpsest show` tells of it."""
    editors = [word for kind in KINDS for word in ("--editor", f"brand-new-{kind}")]
    out = of_each_kind("run", *editors, *COURSE, "--on", "local:1", "--json", "--quiet")
    runs = {run["editor"]: run["run"] for run in json.loads(out[out.index("[") :])}
    told = {kind: of_each_kind("show", runs[f"brand-new-{kind}"], "--json") for kind in KINDS}
    return {kind: json.loads(out[out.index("{") :]) for kind, out in told.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_finishes_a_short_run_in_which_it_learns(kind: str, shown: dict[str, dict[str, Any]]) -> None:
    metrics = shown[kind]["scores"]["metrics"]["all"]
    assert shown[kind]["run"]["status"] == "complete" and metrics["efficacy_preference"] >= 75, metrics


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
