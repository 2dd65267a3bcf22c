"""Child processes, started so that no file that lies in a folder by chance becomes code in them.

Python children run in safe path mode (``-P``) in the root folder, see the import path of this process without its
current folder, and get the environment variables of a closed list, none of which holds a secret. Git is looked up on
absolute paths only and obeys no variable that would lead it to another repository or program.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import IO, Any

_KEPT = frozenset({
    "PATH", "HOME", "USERPROFILE", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "APPDATA", "LOCALAPPDATA",
    "PROGRAMDATA", "TMPDIR", "TEMP", "TMP", "LANG", "LANGUAGE", "TZ", "TERM", "NO_COLOR", "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH", "PYTHONHASHSEED", "PYTHONNOUSERSITE", "PYTHONUSERBASE", "PYTHONDONTWRITEBYTECODE",
    "PYTHONPYCACHEPREFIX", "HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE",
    "HF_ENDPOINT", "TRANSFORMERS_OFFLINE", "TOKENIZERS_PARALLELISM", "NLTK_DATA", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
})  # fmt: skip
_FAMILIES = (
    "LC_", "XDG_", "PALIMPSEST_", "OMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "VECLIB_", "GOMP_", "MALLOC_", "CUDA_",
    "CUBLAS_", "CUDNN_", "NVIDIA_", "NCCL_", "HIP_", "ROCR_", "TORCH_", "PYTORCH_", "VLLM_",
)  # fmt: skip
_SECRET = ("TOKEN", "SECRET", "PASSWORD", "KEY")
_NOWHERE = Path(Path(sys.executable).anchor or os.sep)
"""A working directory in which only the machine's owner can put files."""


def environment(further: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child: this process's variables of the closed list, its import path, and ``further``."""
    listed = {name: value for name, value in os.environ.items() if name.upper() in _KEPT or name.startswith(_FAMILIES)}
    kept = {n: v for n, v in listed.items() if n in _KEPT or not any(word in n.upper() for word in _SECRET)}
    kept["PATH"] = os.pathsep.join(_absolute(kept.get("PATH", os.defpath).split(os.pathsep)))
    path = {"PYTHONPATH": os.pathsep.join(_import_path()), "PYTHONSAFEPATH": "1", "PYTHONUTF8": "1"}
    return kept | path | dict(further or {})


def _import_path() -> list[str]:
    """Import path of this process before the standard library; the current folder only if PYTHONPATH names it."""
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    bundled = (sysconfig.get_path("stdlib"), f"python{sys.version_info.major}{sys.version_info.minor}.zip")
    before = takewhile(lambda entry: not entry.endswith(bundled), dict.fromkeys(sys.path))
    return [entry for entry in _absolute(before) if entry in named or Path(entry) != Path.cwd()]


def _absolute(entries: Iterable[str]) -> list[str]:
    return [entry for entry in entries if Path(entry).is_absolute()]


def start(
    *arguments: str, variables: Mapping[str, str] | None = None, folder: Path = _NOWHERE, joined: bool = True
) -> subprocess.Popen[str]:
    """Start Python with ``arguments``, as ``-m``, a module and what it is given, and catch what it prints.

    It gets ``variables`` beside those of `environment`; ``folder``, its working directory, is of the caller's own
    making. Errors come through the pipe of the output if ``joined``, else through one of their own.
    """
    stderr = subprocess.STDOUT if joined else subprocess.PIPE
    return _python(arguments, stdin=subprocess.DEVNULL, stderr=stderr, env=environment(variables), cwd=folder)


def start_kept(
    *arguments: str,
    errors: IO[bytes] | int = subprocess.DEVNULL,
    variables: Mapping[str, str] | None = None,
    handed: Collection[int] = (),
) -> subprocess.Popen[str]:
    """Start Python as `start` does, for a child that listens to the end of its stdin, in a session of its own.

    Signals of a terminal reach only this process, which hands them on. What the child prints for people goes to
    ``errors``; it has the file descriptors ``handed``, too.
    """
    own = {"start_new_session": True, "pass_fds": tuple(handed)}
    return _python(arguments, stdin=subprocess.PIPE, stderr=errors, env=environment(variables), cwd=_NOWHERE, **own)


def _python(arguments: Sequence[str], **how: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", errors="replace", **how)


def run(
    *arguments: str, variables: Mapping[str, str] | None = None, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """`start` Python and wait for its end; after ``timeout`` seconds it is killed, and `TimeoutExpired` raised."""
    with start(*arguments, variables=variables, joined=False) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def git(folder: Path, *arguments: str, timeout: float | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run git in the repository that ``folder`` is in.

    Raises:
        FileNotFoundError: There is no git.
        subprocess.TimeoutExpired: It took too long.
    """
    words = ("-c", "core.fsmonitor=false", "-C", str(folder.absolute()), *arguments)
    return program("git", *words, variables={"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}, timeout=timeout)


def program(
    name: str, *arguments: str, variables: Mapping[str, str] | None = None, timeout: float | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a program that is found on absolute paths; raises as `git`."""
    given = environment(variables)
    place = shutil.which(name, path=given["PATH"])
    if place is None:
        raise FileNotFoundError(name)
    command = [place, *arguments]
    return subprocess.run(command, capture_output=True, timeout=timeout, env=given, cwd=_NOWHERE, check=False)
