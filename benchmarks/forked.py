"""The command line in forked processes, each the leader of a group of its own that can be killed as one."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from benchmarks.traces import home_digest
from palimpsest.cli.app import main

PATIENCE = 900.0
"""Seconds after which a process that should end by itself is said to hang."""
PARTIAL = 3
"""Exit code of a run that stopped at its limit."""
THERE = "is there already"
"""Words of `submit` when the bundle was whole before the process was stopped."""


class Child:
    """The command line in a forked process that leads a process group of its own."""

    def __init__(
        self,
        command: list[str],
        log: Path,
        *,
        watch: Path,
        kill_at: int = 0,
        count: Path | None = None,
        before: Callable[[], None] | None = None,
    ):
        """Begin.

        Args:
            command: What follows ``palimpsest``.
            log: File for what it says.
            watch: Folder that it works in; operations on its files are counted.
            kill_at: Number of the file operation before which it kills its group; 0: none.
            count: File for the number of operations and the seconds of processor time.
            before: Called in the child first, to make life hard for it.
        """
        self.log = log
        self.pid = os.fork()
        if self.pid == 0:
            _be_the_child(command, log, watch, kill_at, count, before)
        self.code: int | None = None

    def wait(self, seconds: float) -> int | None:
        """Its exit code, negative for a signal; None if it still goes on after ``seconds``."""
        until = time.monotonic() + seconds
        while self.code is None and time.monotonic() < until:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            else:
                time.sleep(0.01)
        return self.code

    def work(self, seconds: float) -> None:
        """Wait until it has had so much of a processor, or has ended: an instant that no other process moves.

        Args:
            seconds: Of processor time, user and system.
        """
        process = psutil.Process(self.pid)
        until = time.monotonic() + PATIENCE
        while self.wait(0.005) is None and time.monotonic() < until:
            times = process.cpu_times()
            if times.user + times.system >= seconds:
                return

    def send(self, number: int) -> None:
        """A signal for the whole group, if it is still there."""
        if self.code is None:
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:  # it has not made its group yet
                os.kill(self.pid, number)


def _be_the_child(
    command: list[str],
    log: Path,
    watch: Path,
    kill_at: int,
    count: Path | None,
    before: Callable[[], None] | None,
) -> None:
    """Carry out a command and end; never returns."""
    code = 70
    try:
        os.setsid()
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        os.chdir(watch)
        seen = 0

        def listen(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal seen
            if event == "palimpsest.files" and str(arguments[1]).startswith(str(watch)):
                seen += 1
                if seen == kill_at:
                    os.write(1, f"\nkilled before {arguments[0]} {arguments[1]}\n".encode())
                    os.killpg(0, signal.SIGKILL)

        sys.addaudithook(listen)
        if before is not None:
            before()
        code = main(command)
        if count is not None:
            count.write_text(f"{seen} {time.process_time()}")
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def attempt(command: list[str], home: Path, before: Callable[[], None] | None = None) -> tuple[int | None, str]:
    """Carry out a command to its end: its exit code, None where it hangs, and what it said."""
    log = home.with_name(f"{home.name}.log")
    log.unlink(missing_ok=True)
    child = Child(command, log, watch=home, before=before)
    code = child.wait(PATIENCE)
    if code is None:
        child.send(signal.SIGKILL)
        child.wait(10)
    return code, log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""


def rude(code: int | None, text: str) -> str | None:
    """Behaviour that no command may show: hang, die of a fault of its own, show a traceback, call itself a bug."""
    if code is None:
        return "hangs"
    if "Traceback" in text or "bug in Palimpsest" in text:
        return f"a traceback: {text[-300:]}"
    return f"ended by signal {-code}: {text[-300:]}" if code < 0 else None


def finish(command: list[str], home: Path) -> str | None:
    """Give a command until it ends by itself; what is wrong if it does not end well."""
    code, text = attempt(command, home)
    fine = code in (0, PARTIAL) if "--limit" in command else code == 0 or THERE in text
    return rude(code, text) or (None if fine else f"{command[0]} ended with {code}: {text[-400:]}")


def unlike(found: Mapping[str, str], wanted: Mapping[str, str]) -> str | None:
    """Names under which two digests of a home differ, at most eight; None where there are none."""
    names = sorted(name for name in {**found, **wanted} if found.get(name) != wanted.get(name))
    return f"differs: {names[:8]}" if names else None


def in_a_child(home: Path) -> dict[str, str]:
    """`home_digest` in a process of its own: a database opened here would be inherited by all children."""
    out = home / ".digest.json"
    pid = os.fork()
    if pid == 0:
        try:
            out.write_text(json.dumps(home_digest(home)), encoding="utf-8")
        except BaseException:
            traceback.print_exc()
        os._exit(0)
    os.waitpid(pid, 0)
    found = json.loads(out.read_text(encoding="utf-8"))
    out.unlink()
    return dict(found)
