"""Where a run was made: versions, commit, hardware. Never part of a run's identity, always kept with it."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


_PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "lm-eval",
    "datasets",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
)
_MAY_DIFFER = frozenset({"started_at", "command", "memory_gb", "diagnostics"})


def environment_segment(command: Sequence[str] | None = None, editor_distribution: str | None = None) -> dict[str, Any]:
    """What there is to know about this process, for ``environment.json``.

    Args:
        command: The command that was given; None: this process's arguments.
        editor_distribution: Distribution of the editor, listed with the packages; those of a composition with `` + ``.
    """
    commit, dirty = _commit(Path(__file__).resolve().parent)
    names = [*_PACKAGES, *(editor_distribution.split(" + ") if editor_distribution else [])]
    return {
        "started_at": utc_now(),
        "palimpsest_version": _version("palimpsest-bench"),
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": _cores(),
        "threads": _threads(),
        "memory_gb": _memory_gb(),
        "gpu": _gpu(),
        "packages": {name: version for name in names if (version := _version(name)) is not None},
        "command": shlex.join(command if command is not None else _own_command()),
    }


def changed_environment(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two segments and may move results in the last bits, as short texts."""
    changes = []
    for key in sorted((set(before) | set(now)) - _MAY_DIFFER - {"packages"}):
        if before.get(key) != now.get(key):
            changes.append(f"{key} {before.get(key)} → {now.get(key)}")
    old, new = before.get("packages") or {}, now.get("packages") or {}
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        changes += [
            f"{name} {old.get(name)} → {new.get(name)}"
            for name in sorted({*old, *new})
            if old.get(name) != new.get(name)
        ]
    return changes


def _own_command() -> list[str]:
    return [Path(sys.argv[0]).name, *sys.argv[1:]] if sys.argv else []


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _commit(folder: Path) -> tuple[str | None, bool | None]:
    """Commit of the source tree and whether it has changes; (None, None) outside a repository."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit.strip(), bool(_git(folder, "status", "--porcelain", "--untracked-files=no").strip())
    except (OSError, subprocess.SubprocessError):
        return None, None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _threads() -> int | None:
    torch = sys.modules.get("torch")
    return int(torch.get_num_threads()) if torch is not None else None


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _gpu() -> str | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))


def utc_now() -> str:
    """The present time in UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
