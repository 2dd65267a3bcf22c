"""A package of somebody else's, installed with pip into a place of its own that only these tests see."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.labs import forking

SOURCE = Path(__file__).parent / "third_party"


def pip_install(place: Path, build: Path, *sources: Path) -> None:
    """Install packages without reaching for anything: their build backend and their dependency are there."""
    copies = [shutil.copytree(source, build / source.name) for source in sources]  # setuptools writes into them
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"),
            *("--disable-pip-version-check", "--target", str(place), *map(str, copies)),
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
        process = self._python("palimpsest.cli", *arguments)
        if kill_when is not None:
            while process.poll() is None and not kill_when():
                time.sleep(0.02)
            process.kill()
        out, _ = process.communicate(timeout=900)
        assert "Traceback" not in out, out
        assert kill_when is not None or process.returncode == code, f"{process.returncode}: {out}"
        return out

    def pytest(self, *arguments: str) -> str:
        """Standard output and error of pytest, which must find no fault."""
        process = self._python("pytest", *arguments)
        out, _ = process.communicate(timeout=900)
        assert process.returncode == 0, out
        return out

    def _python(self, module: str, *arguments: str) -> subprocess.Popen[str]:
        """Python, running a module in the home."""
        environment = os.environ | {"PYTHONPATH": str(self.place), "PALIMPSEST_HOME": str(self.home)}
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return forking.start(("-m", module, *arguments), env=environment, cwd=self.home, **streams)


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    place = tmp_path_factory.mktemp("site-packages")
    pip_install(place, tmp_path_factory.mktemp("build"), SOURCE)
    return Shell(place, tmp_path_factory.mktemp("home"))
