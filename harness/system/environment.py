"""Environment of a run: versions, commit, hardware. Never part of a run's identity, always kept with it."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from palimpsest.harness.system import child
from palimpsest.harness.system.public_text import public

DISTRIBUTION = "palimpsest-bench"
"""Palimpsest's own, which its built-in editors come with."""
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
    """All that is known about this process, for ``environment.json``.

    Args:
        command: The command that was given; None: this process's arguments.
        editor_distribution: Distribution of the editor, listed with the packages; those of a composition with `` + ``.
    """
    commit, dirty = _commit(Path(__file__).resolve().parents[2])
    names = [*_PACKAGES, *(editor_distribution.split(" + ") if editor_distribution else [])]
    return {
        "started_at": utc_now(),
        "palimpsest_version": _version(DISTRIBUTION),
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": cores(),
        "threads": _threads(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpu": _gpu(),
        "packages": {name: version for name in names if (version := _version(name)) is not None},
        "command": public(shlex.join(command if command is not None else _own_command())),
    }


def changed_environment(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Differences between two segments that may move results in the last bits, as short texts."""
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


def changed_kind(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Differences in the kind of CPU and GPU, as short texts; not in how many GPUs there are."""
    kinds = [{"cpu": s.get("cpu"), "gpu": "/".join(sorted({*str(s.get("gpu")).split(", ")}))} for s in (before, now)]
    return [f"{part} {kinds[0][part]} → {kinds[1][part]}" for part in kinds[0] if kinds[0][part] != kinds[1][part]]


def _own_command() -> list[str]:
    return [Path(sys.argv[0]).name, *sys.argv[1:]] if sys.argv else []


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _commit(root: Path) -> tuple[str | None, bool | None]:
    """Commit of the source tree at ``root`` and whether it has changes; (None, None) where it is no repository."""
    try:
        if Path(_git(root, "rev-parse", "--show-toplevel")).resolve() != root:
            return None, None  # the repository of something else, inside which this is installed
        return _git(root, "rev-parse", "HEAD"), bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def _git(folder: Path, *arguments: str) -> str:
    done = child.git(folder, *arguments, timeout=10)
    done.check_returncode()
    return done.stdout.decode(errors="replace").strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def cores() -> int:
    """Processor cores that this process may use."""
    process = psutil.Process()
    return len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else psutil.cpu_count() or 1


def _threads() -> int | None:
    torch = sys.modules.get("torch")
    return int(torch.get_num_threads()) if torch is not None else None


def _gpu() -> str | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))


def utc_now() -> str:
    """The present time in UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
