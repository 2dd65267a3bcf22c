"""Packages work without the symbolic links in palimpsest/, and hold all that is read at run time.

Run alone: ``pytest tests/test_packaging.py``. Everything is built from a clone of the last commit, without links and
without network: an environment of its own sees this one's libraries, but not this one's Palimpsest.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from palimpsest.harness.plugins.entry_points import available_editors

ROOT = Path(__file__).resolve().parents[1]
TOP = ("harness", "editors", "tasks", "results", "site")
RESULTS = re.compile(r"results/(?:submissions/[0-9a-f]{12}/.*|ledger\.jsonl)")
"""Bundles and their record, which are read from a clone alone."""
BUNDLE = "results/submissions/0123456789ab"
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"

pytestmark = [
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the repository"),
    pytest.mark.skipif(shutil.which("git") is None, reason="needs git"),
]


def call(*command: str | Path, cwd: Path) -> str:
    """What a command prints; it must succeed, and sees no import path and no home of this process."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PALIMPSEST"))}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Environment:
    """A virtual environment without pip that sees the libraries of this one."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Environment:
        call(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
        made = cls(folder)
        libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        made.site.joinpath("libraries.pth").write_text("\n".join(sorted(libraries)) + "\n", encoding="utf-8")
        return made

    @property
    def site(self) -> Path:
        return next(self.folder.glob("lib/python*/site-packages"))

    def python(self, *arguments: str | Path, cwd: Path) -> str:
        return call(self.folder / "bin" / "python", *arguments, cwd=cwd)

    def palimpsest(self, *arguments: str, cwd: Path) -> str:
        return call(self.folder / "bin" / "palimpsest", *arguments, cwd=cwd)

    def install(self, what: Path) -> None:
        call(
            *(sys.executable, "-m", "pip", "--python", self.folder / "bin" / "python", "install", "--quiet"),
            *("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", what),
            cwd=self.folder,
        )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last commit, checked out where there are no symbolic links, with a bundle."""
    place = tmp_path_factory.mktemp("clone") / "palimpsest"
    call("git", "-c", "core.symlinks=false", "clone", "--quiet", ROOT, place, cwd=place.parent)
    assert not any((place / "palimpsest" / name).is_dir() for name in TOP)
    for name in (f"{BUNDLE}/bundle.json", f"{BUNDLE}/scores/000050/manifest.json", "results/ledger.jsonl"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("{}", encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that was built from an unpacked source distribution."""
    place = tmp_path_factory.mktemp("distributions")
    name = call(sys.executable, "-c", BUILD, "build_sdist", place, cwd=clone).splitlines()[-1]
    with tarfile.open(place / name) as archive:
        archive.extractall(place, filter="data")
    unpacked = place / name.removesuffix(".tar.gz")
    return place / call(sys.executable, "-c", BUILD, "build_wheel", place, cwd=unpacked).splitlines()[-1]


def tracked(folder: Path) -> set[str]:
    names = call("git", "ls-files", "-z", *TOP, "palimpsest", cwd=folder).split("\0")
    files = {name for name in names if name and (folder / name).is_file() and not name.endswith(TOP)}
    return {name for name in files if not RESULTS.fullmatch(name)}


def test_every_folder_of_modules_is_in_the_list_of_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders = {path.parent for name in TOP for path in (ROOT / name).rglob("__init__.py")}
    for own in ("cli", "api"):
        folders |= {path.parent for path in (ROOT / "palimpsest" / own).rglob("__init__.py")}
    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    named = {name if name.startswith("palimpsest") else f"palimpsest.{name}" for name in names} | {"palimpsest"}
    assert named == set(project["tool"]["setuptools"]["packages"])


def test_a_wheel_holds_every_file_of_the_packages(wheel: Path, clone: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = {name if name.startswith("palimpsest/") else f"palimpsest/{name}" for name in tracked(clone)}
    assert packed == wanted


def test_bundles_and_their_record_are_in_no_distribution(wheel: Path) -> None:
    (source,) = wheel.parent.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as packed, tarfile.open(source) as archive:
        names = [*packed.namelist(), *archive.getnames()]
    assert [name for name in names if name.endswith("results/submissions/bundle.py")]
    assert not [name for name in names if BUNDLE in name or name.endswith("ledger.jsonl")]


def test_no_checkout_changes_a_byte_of_a_bundle() -> None:
    """Git may write other ends of lines, unless it is told not to; checksums would fit no longer."""
    names = [f"{BUNDLE}/bundle.json", f"{BUNDLE}/scores/000050/manifest.json", "results/ledger.jsonl"]
    code = "results/submissions/bundle.py"
    told = call("git", "check-attr", "text", "--", *names, code, cwd=ROOT).splitlines()
    assert told == [*(f"{name}: text: unset" for name in names), f"{code}: text: unspecified"]


def test_a_clone_without_links_can_be_installed_and_lists_the_editors(clone: Path, tmp_path: Path) -> None:
    environment = Environment.make(tmp_path / "environment")
    environment.install(clone)
    place = environment.python("-c", "import palimpsest.harness.errors as e; print(e.__file__)", cwd=clone.parent)
    assert Path(place.strip()).is_relative_to(environment.folder)
    listed = environment.palimpsest("list", "editors", cwd=tmp_path)
    built_in = [entry.name for entry in available_editors() if entry.distribution == "palimpsest-bench"]
    assert len(built_in) >= 13 and all(name in listed.split() for name in built_in)


def test_a_wheel_made_from_a_source_distribution_runs_the_smoke_suite_elsewhere(wheel: Path, tmp_path: Path) -> None:
    environment = Environment.make(tmp_path / "environment")
    environment.install(wheel)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment.palimpsest("run", "--suite", "smoke", "--home", "home", "--quiet", cwd=elsewhere)
    ends = [json.loads(path.read_bytes()) for path in elsewhere.glob("home/runs/*/result.json")]
    assert [end["status"] for end in ends] == ["complete", "complete"]
