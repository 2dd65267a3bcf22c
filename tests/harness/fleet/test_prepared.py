"""The prepared process: what is forked from it stands alone, and without it a new interpreter does the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from palimpsest.harness.fleet.prepared import Forked, Prepared

WORKER = "palimpsest.cli.ticket_worker"
pytestmark = pytest.mark.usefixtures("new_interpreters")


@pytest.fixture(scope="module")
def prepared() -> Iterator[Prepared]:
    one = Prepared(WORKER)
    yield one
    one.close()


def end_of(prepared: Prepared, ticket: Path, log: Path) -> tuple[type, int, str]:
    """The kind of the process, its exit code, and what it said for people."""
    with log.open("wb") as file:
        process = prepared.start(ticket, file)
    with process:
        assert process.stdout is not None
        assert process.stdout.read() == ""
        code = process.wait()
    return type(process), code, log.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
def test_a_forked_process_ends_as_a_new_interpreter_would(prepared: Prepared, tmp_path: Path) -> None:
    ticket = tmp_path / "none.json"
    forked = end_of(prepared, ticket, tmp_path / "forked.log")
    alone = Prepared(WORKER)
    alone.close()
    new = end_of(alone, ticket, tmp_path / "new.log")
    assert (forked[0], new[0]) == (Forked, subprocess.Popen)
    assert forked[1:] == new[1:] and forked[1] == 4 and "none.json" in forked[2]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
def test_a_forked_process_has_a_session_one_thread_and_its_own_streams(prepared: Prepared, tmp_path: Path) -> None:
    fifo = tmp_path / "ticket.json"
    os.mkfifo(fifo)  # the process waits in reading it
    with (tmp_path / "log").open("wb") as log:
        process = prepared.start(fifo, log)
    assert isinstance(process, Forked)
    with process:
        place = Path(f"/proc/{process.pid}")
        wanted = str(tmp_path / "log")
        for _ in range(1000):  # it takes its own streams and closes what is not its own before it works
            descriptors = {int(one.name): str(one.readlink()) for one in (place / "fd").iterdir()}
            strange = [target for target in descriptors.values() if "socket:" in target]
            if descriptors[2] == wanted and not strange:
                break
            time.sleep(0.01)
        assert descriptors[2] == wanted and "pipe:" in descriptors[0] and not strange
        assert os.getsid(process.pid) == process.pid and len(list((place / "task").iterdir())) == 1
        os.kill(process.pid, signal.SIGKILL)
        assert process.stdout.read() == "" and process.wait() == -signal.SIGKILL


def test_where_the_prepared_process_is_gone_a_new_interpreter_starts(tmp_path: Path) -> None:
    one = Prepared(WORKER)
    if one._process is not None:
        one._process.kill()
    kind, code, _ = end_of(one, tmp_path / "none.json", tmp_path / "log")
    assert (kind, code) == (subprocess.Popen, 4)
