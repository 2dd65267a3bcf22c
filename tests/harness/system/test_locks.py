from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from palimpsest.harness.system.locks import Held, alone, locked

HOLDER = """
import sys
from pathlib import Path
from palimpsest.harness.system.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder_of(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_who_is_refused_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    process = holder_of(tmp_path / "lock")
    expected = rf"^{re.escape(socket.gethostname())}:{process.pid} since \d{{4}}-\d\d-\d\dT[\d:.]+\+00:00$"
    with pytest.raises(Held, match=expected), locked(tmp_path / "lock"):
        pass
    process.communicate("")
    with locked(tmp_path / "lock"):
        assert f":{os.getpid()} since" in (tmp_path / "lock.holder").read_text()
    assert not (tmp_path / "lock.holder").exists()


def test_who_is_refused_is_told_what_the_holder_works_on(tmp_path: Path) -> None:
    work = "ticket /shared/home/fleet/0123456789ab.json"
    with (
        locked(tmp_path / "lock", work),
        pytest.raises(Held, match=rf":{os.getpid()} since \S+, {re.escape(work)}$"),
        locked(tmp_path / "lock"),
    ):
        pass


def test_a_process_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    process = holder_of(tmp_path / "lock")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (tmp_path / "lock.holder").exists()
    with locked(tmp_path / "lock"):
        assert f":{os.getpid()} since" in (tmp_path / "lock.holder").read_text()


def test_one_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), pytest.raises(Held, match=f":{os.getpid()} since"), locked(tmp_path / "lock"):
        pass


def test_an_exception_gives_it_back(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path / "lock"):
        raise KeyError
    with locked(tmp_path / "lock"):
        pass


def test_what_another_process_makes_is_waited_for_or_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "m"
    with alone(folder, "shared") as waited:
        assert not waited
    process = holder_of(tmp_path / "models" / ".m-shared.lock")
    with pytest.raises(Held), alone(folder, "shared", wait=False):
        pass
    told: list[str] = []

    def let_go() -> None:
        told.append("it waits")
        process.communicate("")

    with alone(folder, "shared", waits=let_go) as waited:
        assert waited and told == ["it waits"] and not folder.exists()
        with pytest.raises(Held), alone(folder, "shared", wait=False):
            pass
        with alone(folder, "another", wait=False):
            pass


def test_where_no_lock_can_be_made_work_goes_on_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (None, tmp_path / "file" / "m"):
        with alone(folder, "shared", wait=False) as waited:
            assert not waited
