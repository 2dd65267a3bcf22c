"""A package of somebody else's, installed with pip into a place of its own that only these tests see."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "third_party"


def pip_install(source: Path, place: Path, build: Path) -> None:
    """Install a package without reaching for anything: its build backend and its dependency are there."""
    copy = build / source.name
    subprocess.run(["cp", "-r", str(source), str(copy)], check=True)  # setuptools writes beside what it builds
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"),
            *("--disable-pip-version-check", "--target", str(place), str(copy)),
        ],
        check=True,
        capture_output=True,
        text=True,
    )


@dataclass(frozen=True)
class Shell:
    """Runs `palimpsest` in a process that sees the installed package."""

    place: Path
    home: Path

    def __call__(self, *arguments: str, code: int = 0, kill_when: Callable[[], bool] | None = None) -> str:
        """Standard output and error of a command, which must end with this exit code."""
        environment = os.environ | {"PYTHONPATH": str(self.place), "PALIMPSEST_HOME": str(self.home)}
        command = [sys.executable, "-m", "palimpsest.cli", *arguments]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=self.home
        )
        if kill_when is not None:
            while process.poll() is None and not kill_when():
                time.sleep(0.02)
            process.kill()
        out, _ = process.communicate(timeout=900)
        assert "Traceback" not in out, out
        assert kill_when is not None or process.returncode == code, f"{process.returncode}: {out}"
        return out


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    place = tmp_path_factory.mktemp("site-packages")
    pip_install(SOURCE, place, tmp_path_factory.mktemp("build"))
    return Shell(place, tmp_path_factory.mktemp("home"))
