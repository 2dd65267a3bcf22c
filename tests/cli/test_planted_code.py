"""Nothing that somebody else put into a folder is imported or run by the verbs that read submissions.

Modules with tempting names lie in the working folder, in its parent, in the folder of bundles and in a bundle; each
leaves a mark when it is imported. The verbs run as processes of their own, as a user starts them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from palimpsest.results.submissions.bundle import write_bundle
from palimpsest.results.submissions.editor_sources import EditorSource, editor_sources
from tests.labs.synthetic import write_run
from tests.results.conftest import small_runs

MODULES = (
    *("json", "resource", "numpy", "pyarrow", "pydantic", "duckdb", "jinja2", "filelock", "psutil", "torch", "tomllib"),
    *("sitecustomize", "usercustomize", "harness", "results", "site"),
)


def plant(folder: Path, mark: Path) -> None:
    code = f"open({str(mark)!r}, 'a').write(__name__ + ' of ' + __file__ + chr(10))\n"
    for name in MODULES:
        (folder / f"{name}.py").write_text(code)
    package = folder / "palimpsest"
    package.mkdir()
    (package / "__init__.py").write_text(code)
    program = folder / "git"
    program.write_text(f"#!/bin/sh\necho git >> {mark}\n")
    program.chmod(0o755)


@pytest.fixture(scope="module")
def sources() -> list[EditorSource]:
    return editor_sources("memit")


@pytest.fixture
def request_folder(tmp_path: Path, sources: list[EditorSource]) -> Path:
    """A checkout of somebody's request: a whole bundle, one that is broken, one that brings modules; and a run."""
    work = tmp_path / "parent" / "request"
    bundles = work / "results" / "submissions"
    bundles.mkdir(parents=True)
    run = replace(small_runs()[0], status="complete")
    name = write_run(work / "home" / "runs", run)
    good = write_bundle(work / "home" / "runs" / name, bundles, sources, version="0.1.0")
    shutil.copytree(good, bundles / "broken")
    (bundles / "broken" / "manifest.json").write_text("{}")
    shutil.copytree(good, bundles / "bringing")
    for folder in (work, work.parent, bundles, bundles / "bringing"):
        plant(folder, tmp_path / "mark")
    return work


def test_no_verb_that_reads_submissions_runs_what_lies_in_a_folder(request_folder: Path, tmp_path: Path) -> None:
    good = next(path for path in (request_folder / "results" / "submissions").iterdir() if len(path.name) == 12)
    bundles = "results/submissions"
    environment = os.environ | {"PATH": f".{os.pathsep}{os.environ['PATH']}", "PALIMPSEST_SUBMISSIONS": bundles}
    for words in (
        ("verify", f"{bundles}/{good.name}", f"{bundles}/broken", f"{bundles}/bringing"),
        ("submit", good.name, "--home", "home", "--out", "mine"),
        ("ledger", "include", f"{bundles}/{good.name}"),
        ("store", "ingest", "--home", "home"),
        ("site", "build", "--home", "home"),
        ("verify", "--since", "HEAD"),
    ):
        program = Path(sys.executable).parent / "palimpsest"
        done = subprocess.run(
            [program, *words], cwd=request_folder, env=environment, capture_output=True, text=True, check=False
        )
        said = done.stdout + done.stderr
        assert not (tmp_path / "mark").exists(), f"{words}: {(tmp_path / 'mark').read_text()}"
        assert done.returncode in (0, 1, 2, 4) and "Traceback" not in said, said
        if words[0] == "verify" and len(words) == 4:
            assert done.returncode == 1 and f"{good.name}  " in said, said
            assert f"{good.name}  json.py" not in said, said
            assert "broken  1 problems" in said and "bringing  json.py: does not belong" in said, said
