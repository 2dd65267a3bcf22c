"""`verify_bundle` in a process of its own, with bounds on its time and memory: a bundle may be made to burst.

A Parquet page says itself how large it unpacks, and no check of a file's size sees that. What bursts ends the child,
and the parent says so.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from palimpsest.harness.system import child
from palimpsest.results.reading.problems import Problem
from palimpsest.results.submissions.verify import verify_bundle

MEMORY = 8_000_000_000
"""Bytes of address space; the libraries alone take about two thousand million."""
SECONDS = 300


def verify_bounded(folder: Path, *, memory: int = MEMORY, seconds: int = SECONDS) -> list[Problem]:
    """All problems of the bundle in ``folder``; empty: nothing speaks against it."""
    arguments = ("-m", "palimpsest.results.submissions.bounded", str(folder.absolute()), str(memory), str(seconds))
    try:
        done = child.run(*arguments, timeout=2 * seconds)
    except subprocess.TimeoutExpired:
        return [Problem(str(folder), f"takes more than {2 * seconds} s to check: refused")]
    if done.returncode == 0:
        return [Problem(*pair) for pair in json.loads(done.stdout.splitlines()[-1])]
    return [Problem(str(folder), f"cannot be checked within {memory} bytes of memory and {seconds} s of time: refused")]


def _main(folder: str, memory: str, seconds: str) -> None:
    if sys.platform != "win32":  # where there are no such limits, the parent's patience is the only one
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
    print(json.dumps(verify_bundle(Path(folder)).problems))


if __name__ == "__main__":
    _main(*sys.argv[1:])
