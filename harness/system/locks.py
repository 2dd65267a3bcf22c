"""A lock between processes, which says who holds it; a process that ends, however it ends, gives it back."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from palimpsest.harness.system.environment import utc_now


class Held(Exception):
    """Another process holds the lock; the message names it as ``HOST:PID since TIME``, and its work if it has said."""


@contextmanager
def locked(path: Path, work: str = "") -> Iterator[None]:
    """Hold the lock at ``path``; beside it, ``NAME.holder`` tells others who does, and with what ``work``.

    Raises:
        Held: Another process does; it is not waited for.
    """
    told = path.with_name(f"{path.name}.holder")
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise Held(_holder(told)) from error
    try:
        holder = f"{socket.gethostname()}:{os.getpid()} since {utc_now()}"
        told.write_text(", ".join(filter(None, [holder, work])) + "\n", encoding="utf-8")
        yield
    finally:
        told.unlink(missing_ok=True)
        lock.release()


@contextmanager
def alone(
    folder: Path | None, name: str, *, wait: bool = True, waits: Callable[[], object] = lambda: None
) -> Iterator[bool]:
    """Hold a lock while something is made in ``folder`` that processes share; true if another one held it before.

    The lock lies beside the folder. Where there is none, or no folder, the work is done without: at worst twice.
    Before another process is waited for, ``waits`` is called.

    Raises:
        Held: Another process holds it, and not ``wait``.
    """
    lock, waited = None, False
    try:
        if folder is not None:
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder.with_name(f".{folder.name}-{name}.lock"), timeout=0)
            lock.acquire()
    except Timeout as error:
        if not wait:
            raise Held(name) from error
        waits()
        waited = True
        lock.acquire(timeout=-1)  # type: ignore[union-attr]
    except OSError:
        lock = None
    try:
        yield waited
    finally:
        if lock is not None:
            lock.release()


def _holder(told: Path) -> str:
    with suppress(OSError):
        return told.read_text(encoding="utf-8", errors="replace")[:500].strip()
    return "unknown"
