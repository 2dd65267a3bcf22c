"""Python processes that are forked from one that has imported what takes long, in place of new interpreters.

A new interpreter works for seconds until torch, transformers and the house are imported, and the tests start hundreds.
What is forked begins with nothing but modules: environment, import path, folder and streams are those it is given, and
no module of an editor is among the imported ones. It is a child of the process that asked for it, as if started anew.

Forked are the modules of `FORKED` and the import that check C01 measures, on Linux, and nothing else. Tests about the
start of a process itself ask for the fixture ``new_interpreters``.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import os
import pkgutil
import runpy
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from fcntl import F_DUPFD, fcntl
from importlib import import_module, invalidate_caches
from inspect import signature
from pathlib import Path
from typing import Any

from palimpsest.harness.system import child

FORKED = ("palimpsest.cli", "palimpsest.cli.check_worker", "palimpsest.cli.ticket_worker", "pytest")
"""Modules that are run by ``-m`` in a forked process, if they are."""
LIBRARIES = (
    *("transformers.modeling_utils", "transformers.masking_utils", "transformers.generation.utils"),
    *("transformers.models.auto.tokenization_auto", "transformers.models.auto.modeling_auto"),
    *("transformers.models.gpt2.modeling_gpt2", "transformers.models.llama.modeling_llama"),
    *("lm_eval.models.huggingface", "lm_eval.tasks", "pyarrow.parquet", "duckdb", "jinja2"),
)
"""What takes long to import."""
ROOMS = ("palimpsest.harness", "palimpsest.tasks", "palimpsest.results", "palimpsest.site", "palimpsest.cli")
"""Our own rooms that are imported, too; editors are not, nor is what is run by ``-m``."""
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Environment variables that keep libraries from starting threads, which cannot be forked."""
LONGEST = 1 << 17
"""Bytes of what is asked for at once, at most."""
HIGH = 100
"""Descriptors from here on are in nobody's way."""
READY = b"ready"
PR_SET_CHILD_SUBREAPER = 36

_asking = threading.Lock()
_line: socket.socket | None = None
_new_interpreter = child._python


def start(arguments: Sequence[str], **how: Any) -> subprocess.Popen[str]:
    """Start Python in safe path mode, forked where it may be; ``how`` is for `subprocess.Popen`."""
    opened: type[subprocess.Popen[str]] = Forked if may_be_forked(arguments) else subprocess.Popen
    return opened([sys.executable, "-P", *arguments], **how)


def python(arguments: Sequence[str], **how: Any) -> subprocess.Popen[str]:
    """`child._python`, forked where it may be."""
    return start(arguments, stdout=subprocess.PIPE, encoding="utf-8", errors="replace", **how)


def may_be_forked(arguments: Sequence[str]) -> bool:
    """True for ``-m`` and one of the modules `FORKED`, and for C01, which counts an editor's own import alone."""
    if sys.platform != "linux" or arguments[0] == "-m":
        return sys.platform == "linux" and arguments[1] in FORKED
    from palimpsest.harness.authoring.checks_loading import _PROBE

    return tuple(arguments[:2]) == ("-c", _PROBE)


class Forked(subprocess.Popen[str]):
    """A process for ``[sys.executable, "-P", "-m", MODULE, …]``, or ``-c`` and a program, forked."""

    def _execute_child(self, *given: Any) -> None:
        told = signature(subprocess.Popen._execute_child).bind(self, *given).arguments  # type: ignore[attr-defined]
        streams = [told[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        handed = sorted(told["pass_fds"])
        asked = {
            "words": list(told["args"])[2:],
            "environment": dict(os.environ if told["env"] is None else told["env"]),
            "folder": os.fspath(told["cwd"] or Path.cwd()),
            "session": told["start_new_session"],
            "numbers": [0, 1, 2, *handed],
        }
        descriptors = [number if stream == -1 else stream for number, stream in enumerate(streams)]
        self.pid = _fork(json.dumps(asked, default=os.fspath).encode(), [*descriptors, *handed])
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(told[name] for name in pipes))  # type: ignore[attr-defined]


def close() -> None:
    """Let the process that others are forked from end; another begins when it is needed again."""
    global _line
    if _line is not None:
        _line.close()
        _line = None


def _forget() -> None:
    """What this process forks by itself has children by itself."""
    close()
    child._python = _new_interpreter


def _fork(asked: bytes, descriptors: list[int]) -> int:
    """The number of a new process, a child of this one: it is forked by another, and whoever forked it is gone."""
    global _line
    with _asking:
        if _line is None:
            _line = _begin()
        _adopting(True)
        try:
            socket.send_fds(_line, [asked], descriptors)
            return int(_line.recv(64))
        finally:
            _adopting(False)


def _adopting(whether: bool) -> None:
    """Whether processes below this one become its children when their parents end."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(whether), 0, 0, 0)


def _begin() -> socket.socket:
    line, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with other:
        command = [sys.executable, "-P", __file__, str(other.fileno())]
        variables = child.environment(ONE_THREAD | {"PYTHONPATH": ""})
        subprocess.Popen(command, env=variables, pass_fds=(other.fileno(),), stdin=subprocess.DEVNULL)
    assert line.recv(64) == READY, "the process that others are forked from did not get ready"
    return line


def forked(line: socket.socket) -> list[str] | None:
    """Import what takes long and fork a process for each that is asked for, until the other end is closed.

    Returns in each forked process with its words, and in this one, at its end, with None. A forked process has one like
    this for its own children.
    """
    for name in (*LIBRARIES, *_ours()):
        import_module(name)
    path = list(sys.path)
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a library has begun a thread"
    gc.freeze()
    line.send(READY)
    while True:
        asked, handed, _, _ = socket.recv_fds(line, LONGEST, 64)
        if not asked:
            return None
        told, telling = os.pipe()
        if os.fork() == 0:
            pid = os.fork()
            if pid:
                os.write(telling, str(pid).encode())
                os._exit(0)
            for descriptor in (line.detach(), told, telling):
                os.close(descriptor)
            ours, line = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            if os.fork():
                line.close()
                return _begun(json.loads(asked), handed, path, ours)
            ours.close()
            told, telling = os.pipe()
        else:
            os.wait()  # from here on the forked process is a child of whoever adopts it
            line.send(os.read(told, 64))
        for descriptor in (told, telling, *handed):
            os.close(descriptor)


def _ours() -> list[str]:
    found = []
    for room in ROOMS:
        for module in pkgutil.walk_packages(import_module(room).__path__, f"{room}."):
            if module.name not in FORKED and not module.name.endswith("__main__"):
                found.append(module.name)
    return found


def _begun(asked: dict[str, Any], handed: list[int], path: list[str], line: socket.socket) -> list[str]:
    """Become the process that was asked for; its words. Its own children are asked for on ``line``."""
    global _line
    _line = line
    child._python = python
    os.register_at_fork(after_in_child=_forget)
    if asked["session"]:
        os.setsid()
    aside = [fcntl(descriptor, F_DUPFD, HIGH) for descriptor in handed]
    for descriptor in handed:
        os.close(descriptor)
    for number, descriptor in zip(asked["numbers"], aside, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = dict.fromkeys([*filter(None, named), *path])
    invalidate_caches()
    sys.orig_argv[1:] = ["-P", *asked["words"]]
    return list(asked["words"])


def _do(words: list[str]) -> int:
    """Do what Python does with these words; the exit code. Modules are left standing: taking them down takes long."""
    sys.argv = words[1:]
    code: Any = 0
    try:
        if words[0] == "-m":
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            exec(words[1], {"__name__": "__main__"})
    except SystemExit as end:
        code = end.code
        if not (code is None or isinstance(code, int)):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    return int(code or 0)


if __name__ == "__main__":
    words = forked(socket.socket(fileno=int(sys.argv[1])))
    if words is not None:
        os._exit(_do(words))
