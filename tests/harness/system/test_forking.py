"""Processes that tests fork in place of new interpreters answer as these do, and are children like these."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from palimpsest.harness.system import child
from tests.labs import forking

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
EDITOR = """
import json, os, sys
from palimpsest.harness.editor import Editor, EditorConfig

built_in = ("palimpsest.editors.memit", "palimpsest.editors.ft")
print(json.dumps([sys.argv[1:], os.getcwd(), os.environ["MARK"], os.environ["HOME"]]), file=sys.stderr)
print(json.dumps([name for name in sys.modules if name in built_in or name.startswith("tests")]), file=sys.stderr)


class Mine(Editor):
    Config = EditorConfig
"""
"""What it says when it is imported is what the process sees."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a plugin."""
    (tmp_path / "an_authors_module.py").write_text(EDITOR)
    metadata = tmp_path / "of_an_author-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: of-an-author\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text("[palimpsest.editors]\nmine = an_authors_module:Mine\n")
    return tmp_path


def ended(kind: type[subprocess.Popen[str]], *words: str, **how: Any) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a module."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with kind([sys.executable, "-P", "-m", *words], **streams, **how) as process:
        return (process.wait(timeout=120), *process.communicate())


def test_a_forked_process_has_its_own_environment_path_folder_and_streams(place: Path) -> None:
    environment = child.environment({"MARK": "seen", "PYTHONPATH": str(place)})
    words = ("check", "mine", "--only", "C02", "--home", str(place / "home"))
    code, out, err = ended(forking.Forked, "palimpsest.cli", *words, env=environment, cwd=place)
    seen, modules = map(json.loads, err.splitlines()[:2])
    assert code == 0 and "C02" in out
    assert seen == [list(words), str(place), "seen", environment["HOME"]] and modules == []


@pytest.mark.parametrize("words", [("--version",), ("lst",), ("show", "none", "--home", "nowhere")])
def test_a_forked_process_ends_as_a_new_interpreter(words: tuple[str, ...], tmp_path: Path) -> None:
    forked, new = (ended(kind, "palimpsest.cli", *words, cwd=tmp_path) for kind in (forking.Forked, subprocess.Popen))
    assert forked == new


def test_a_forked_process_is_a_child_that_can_be_killed(tmp_path: Path) -> None:
    fifo = tmp_path / "ticket.json"
    os.mkfifo(fifo)  # the process waits in reading it
    words = ("-m", "palimpsest.cli.ticket_worker", str(fifo))
    process = forking.start(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert isinstance(process, forking.Forked) and process.poll() is None
    with fifo.open("w"):  # opens once the process reads
        assert os.getsid(process.pid) == process.pid
        process.kill()
    assert process.communicate() == ("", None) and process.returncode == -signal.SIGKILL


def test_only_named_modules_are_forked() -> None:
    assert forking.may_be_forked(("-m", "palimpsest.cli", "run"))
    assert not forking.may_be_forked(("-m", "palimpsest.results.submissions.bounded", "1"))
    assert not forking.may_be_forked(("-c", "import palimpsest.cli"))
    assert child._python is forking.python


@pytest.mark.usefixtures("new_interpreters")
def test_where_a_test_asks_for_it_every_process_is_a_new_interpreter() -> None:
    with child.start("-m", "palimpsest.cli", "--version") as process:
        assert type(process) is subprocess.Popen and process.communicate()[0].startswith("palimpsest ")
