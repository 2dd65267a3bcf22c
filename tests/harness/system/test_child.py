from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from palimpsest.harness.system import child

SHADOWED = ("json", "resource", "encodings", "torch", "numpy", "palimpsest", "sitecustomize", "usercustomize")
SEEN = "import json, os, sys; print(json.dumps([dict(os.environ), sys.path, os.getcwd()]))"


def plant(folder: Path, mark: Path) -> None:
    """Put modules into a folder that leave a mark when one of them is imported."""
    for name in SHADOWED:
        (folder / f"{name}.py").write_text(f"open({str(mark)!r}, 'a').write({name!r})\n")
    (folder / "palimpsest.py").unlink()
    (folder / "palimpsest").mkdir()
    (folder / "palimpsest" / "__init__.py").write_text(f"open({str(mark)!r}, 'a').write('palimpsest')\n")


def test_nothing_in_the_current_folder_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "mark"
    place = tmp_path / "checkout"
    place.mkdir()
    plant(place, mark)
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend("")  # what an interactive or `-m` process has
    monkeypatch.syspath_prepend(str(place))
    for path in ("", ".", os.pathsep, f".{os.pathsep}"):
        monkeypatch.setenv("PYTHONPATH", path)
        done = child.run("-c", "import json, resource, palimpsest.harness.errors; print('fine')")
        assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr
        assert not mark.exists()


def test_a_child_gets_no_secret_and_no_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "PALIMPSEST_API_KEY", "VLLM_API_KEY", "ANYTHING")
    for name in secrets:
        monkeypatch.setenv(name, "canary-secret")
    monkeypatch.setenv("PYTHONSTARTUP", "x.py")
    monkeypatch.setenv("PYTHONWARNINGS", "error::planted.Warning")
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    done = child.run("-c", SEEN, variables={"EXTRA": "1"})
    environment, path, folder = json.loads(done.stdout)
    assert "canary-secret" not in environment.values()
    assert not {"PYTHONSTARTUP", "PYTHONWARNINGS"} & environment.keys()
    assert environment["OMP_NUM_THREADS"] == "3" and environment["EXTRA"] == "1"
    assert all(Path(entry).is_absolute() for entry in environment["PATH"].split(os.pathsep))
    assert all(Path(entry).is_absolute() for entry in path) and folder == Path(folder).anchor


def test_a_child_imports_what_its_parent_was_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "an_authors_editor.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert child.run("-c", "import an_authors_editor").returncode == 0
    monkeypatch.chdir(tmp_path)
    assert child.run("-c", "import an_authors_editor").returncode == 1
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert child.run("-c", "import an_authors_editor").returncode == 0
    assert sys.flags.safe_path is False


def test_git_is_neither_taken_from_the_folder_nor_led_to_another_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    planted = tmp_path / "git"
    planted.write_text(f"#!/bin/sh\ntouch {mark}\n")
    planted.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(planted))
    root = Path(__file__).resolve().parents[3]
    done = child.git(root, "rev-parse", "--show-toplevel")
    assert done.stdout.decode().strip() == str(root) and not mark.exists()
