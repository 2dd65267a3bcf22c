"""A prepared process: what the processes of all tickets import is imported once, and they are forked from it.

It runs nothing of an editor and has one thread, so that nothing but modules passes on to what is forked. Where that
cannot be (no fork, a library that starts threads), every ticket has a new interpreter, which gives the same bits.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO

from palimpsest.harness.system import child

_IMPORTED = (
    *("palimpsest.harness.fleet.work", "transformers.modeling_layers", "transformers.modeling_utils"),
    *("transformers.masking_utils", "transformers.generation.utils", "transformers.models.auto.tokenization_auto"),
    *("lm_eval.models.huggingface", "lm_eval.tasks"),
)
"""Modules that take long to import; none of them imports an editor."""
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Environment variables that keep libraries from starting threads when they are imported."""
_LONGEST = 1 << 16


class Forked:
    """A process that was forked from the prepared one, to be used like a `subprocess.Popen`."""

    def __init__(self, pid: int, stdin: int, stdout: IO[str], status: IO[str]) -> None:
        """Take charge.

        Args:
            pid: Its number.
            stdin: Descriptor whose end tells it that nobody keeps it any more.
            stdout: What it tells.
            status: Its exit code, once it has ended.
        """
        self.pid = pid
        self.stdout = stdout
        self._stdin = stdin
        self._status = status

    def __enter__(self) -> Forked:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._stdin)
        self.stdout.close()
        self._status.close()

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit code; negative: the signal that killed it. Without word of it, it counts as killed."""
        code = int(self._status.readline() or -signal.SIGKILL)
        self.pid = 0
        return code


class Prepared:
    """Starts the processes of tickets."""

    def __init__(self, module: str, variables: Mapping[str, str] | None = None) -> None:
        """Begin to prepare, where there is something to fork from.

        Args:
            module: Works on the ticket that it is given as ``python -m MODULE FILE``; given ``--prepared NUMBER``, it
                calls `next_ticket` first.
            variables: Environment variables for its processes, beside those that every child gets.
        """
        self._module = module
        self._variables = dict(variables or {})
        self._line: socket.socket | None = None
        self._process: subprocess.Popen[str] | None = None
        if sys.platform == "linux":
            self._line, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with other:
                words, given = ("-m", module, "--prepared", str(other.fileno())), _ONE_THREAD | self._variables
                self._process = child.start_kept(*words, variables=given, handed=(other.fileno(),))

    def start(self, ticket: Path, errors: IO[bytes]) -> Forked | subprocess.Popen[str]:
        """Start the process of a ticket; it ends in order when its stdin does.

        Args:
            ticket: Its file.
            errors: Takes what the process prints for people.
        """
        forked = None if self._line is None else self._fork(self._line, ticket, errors)
        words = ("-m", self._module, str(ticket))
        return forked or child.start_kept(*words, errors=errors, variables=self._variables)

    def close(self) -> None:
        """Let the prepared process end, and wait for that."""
        line, self._line = self._line, None
        if line is not None:
            line.close()
        process, self._process = self._process, None
        if process is not None:
            process.communicate()

    def _fork(self, line: socket.socket, ticket: Path, errors: IO[bytes]) -> Forked | None:
        """The process, forked; None where the prepared one could not, or is gone."""
        stdin, keeping = os.pipe()
        telling, stdout = os.pipe()
        ended, status = os.pipe()
        with suppress(OSError):
            socket.send_fds(line, [str(ticket).encode()], (stdin, stdout, errors.fileno(), status))
        for descriptor in (stdin, stdout, status):
            os.close(descriptor)
        told, words = os.fdopen(ended), os.fdopen(telling, encoding="utf-8", errors="replace")
        forked = Forked(int(told.readline() or 0), keeping, words, told)
        if forked.pid:
            return forked
        with forked:
            self.close()
        return None


def next_ticket(number: int) -> str | None:
    """Import what tickets need and fork a process for each that is asked for, until the other end is closed.

    Returns in each forked process, with the ticket's file, standard streams as they were handed over, and all else as
    in a new interpreter; and in the prepared process at its end, with None.

    Args:
        number: File descriptor of the socket of a `Prepared`.
    """
    for name in _IMPORTED:
        import_module(name)
    line = socket.socket(fileno=number)
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        line.close()  # what threads hold locks of cannot be forked safely
        return None
    gc.freeze()
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    children: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([line.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 1 << 12)
            _tell_ends(children)
        if line.fileno() not in ready:
            continue
        asked, handed, _, _ = socket.recv_fds(line, _LONGEST, 4)
        if not asked:
            return None
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            line.close()
            for descriptor in (woken, wakes, handed[3], *children.values()):
                os.close(descriptor)
            _take(handed[:3])
            return asked.decode()
        children[pid] = handed[3]
        _write(handed[3], pid)
        for descriptor in handed[:3]:
            os.close(descriptor)


def _take(streams: list[int]) -> None:
    """Make these descriptors the standard streams, in a session of one's own."""
    os.setsid()
    for place, descriptor in enumerate(streams):
        os.dup2(descriptor, place)
        os.close(descriptor)


def _tell_ends(children: dict[int, int]) -> None:
    """Write the exit codes of all children that have ended."""
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            descriptor = children.pop(pid)
            _write(descriptor, os.waitstatus_to_exitcode(status))
            os.close(descriptor)


def _write(descriptor: int, value: int) -> None:
    with suppress(OSError):  # the keeper may be gone
        os.write(descriptor, f"{value}\n".encode())
