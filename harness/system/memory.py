"""Peak memory of one run, also when several runs share a process."""

from __future__ import annotations

import ctypes
import sys
import time
from pathlib import Path

import psutil

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


class PeakMemory:
    """The highest resident memory since this object was made, and that of the GPU if torch uses one."""

    def __init__(self) -> None:
        self._resets = False
        try:
            _CLEAR.write_text("5")  # Linux: set the high-water mark of this process to its present size
            self._resets = True
        except OSError:
            pass
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def megabytes(self) -> float:
        """Peak so far in 10⁶ bytes; where the system cannot reset it, the peak of the whole process."""
        peak = (_high_water() if self._resets else None) or _whole_process()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            peak = max(peak, torch.cuda.max_memory_allocated() / 1e6)
        return round(peak, 1)


class FreedMemory:
    """Keeps memory that was freed, since new pages cost a tenth of scoring, and gives it back from time to time.

    Freed pieces add up over batches of changing sizes: 20,000 edits held 10 % more at the end than after 2,000, all of
    it free. Both are matters of glibc; other allocators are left alone.
    """

    def __init__(self, every: float = 5.0) -> None:
        """Give back what was freed before. Args: seconds between two times, at least."""
        self._every, self._last = every, float("-inf")
        libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        self._trim = getattr(libc, "malloc_trim", None)
        if (option := getattr(libc, "mallopt", None)) is not None:
            option(-1, 1 << 30)  # M_TRIM_THRESHOLD: up to 1 GiB is kept
            option(-3, 1 << 25)  # M_MMAP_THRESHOLD: pieces of over 32 MiB, its bound, go back at once
        self.give_back()

    def give_back(self) -> None:
        """Do it, if it is time."""
        if self._trim is not None and time.monotonic() - self._last >= self._every:
            self._trim(0)
            self._last = time.monotonic()


def _high_water() -> float | None:
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = next((line for line in lines if line.startswith("VmHWM:")), None)
    return int(found.split()[1]) * 1024 / 1e6 if found else None


def _whole_process() -> float:
    import resource  # only where it exists

    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / 1e6 if sys.platform == "darwin" else kilobytes * 1024 / 1e6


def free_memory() -> int:
    """Bytes that can be had now, within the limit of the container."""
    available = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        if limit.isdecimal():
            available = min(available, int(limit) - int((group / "memory.current").read_text(encoding="ascii")))
    except (OSError, ValueError):
        pass  # no container, or none with a limit
    return available
