"""Freed memory goes back to the system; how much is in use can be asked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from palimpsest.harness.system.memory import FreedMemory, PeakMemory


def resident() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))  # kB


@pytest.mark.skipif(sys.platform != "linux", reason="the allocator that keeps freed pieces is glibc's")
def test_memory_that_was_freed_between_pieces_in_use_is_given_back() -> None:
    pieces = [bytes(60_000) for _ in range(4000)]  # below the size that gets pages of its own
    kept = pieces[::50]
    del pieces
    before = resident()
    FreedMemory(every=0.0).give_back()
    assert len(kept) == 80
    assert before - resident() > 100_000


@pytest.mark.skipif(sys.platform != "linux", reason="the allocator that gives pages back at once is glibc's")
def test_in_between_memory_that_was_freed_is_used_again_without_new_pages() -> None:
    import resource  # only where it exists

    def used_and_freed() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        pieces = [bytearray(b"x" * 1024) * 5000 for _ in range(8)]
        del pieces
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    FreedMemory(every=3600.0)
    used_and_freed()
    assert used_and_freed() < 1000, "of 10,000 pages that it holds"


def test_it_is_done_from_time_to_time_only() -> None:
    freed, calls = FreedMemory(every=3600.0), []
    freed._trim = calls.append
    freed.give_back()
    assert calls == []


def test_the_peak_stays_when_memory_is_freed() -> None:
    FreedMemory()  # what was freed before is no part of it
    memory = PeakMemory()
    first = memory.megabytes()
    data = bytearray(50_000_000)
    data[::4096] = b"x" * len(data[::4096])
    second = memory.megabytes()
    del data
    assert second >= first + 40
    assert memory.megabytes() >= second - 1  # the system counts pages in groups
