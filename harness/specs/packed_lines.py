"""Many short texts on the disk instead of in memory: nothing of them is an object of this process until it is read."""

from __future__ import annotations

import os
import tempfile
import weakref
from array import array
from collections.abc import Iterable
from typing import IO

_AT_ONCE = 1 << 20
"""Bytes that are written together."""


class PackedLines:
    """Texts in a temporary file without a name, which goes with this object."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Write the texts.

        Raises:
            OSError: The folder of temporary files takes no more.
        """
        # Without a buffer of its own the file has nothing left to write when it is closed, also on a full disk.
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  (closed by the finaliser)
        weakref.finalize(self, file.close)
        ends = array("q", [0])
        waiting = bytearray()
        for text in texts:
            raw = text.encode()
            waiting += raw
            ends.append(ends[-1] + len(raw))
            if len(waiting) >= _AT_ONCE:
                _write(file, waiting)
                waiting.clear()
        _write(file, waiting)
        self._file = file
        self._ends = ends

    def __len__(self) -> int:
        """Give the number of texts."""
        return len(self._ends) - 1

    def read(self, place: int) -> str:
        """The text at a place from 0; by an address of its own, so that forked processes do not disturb each other."""
        begin, end = self._ends[place], self._ends[place + 1]
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), end - begin, begin).decode()
        self._file.seek(begin)
        return self._file.read(end - begin).decode()


def _write(file: IO[bytes], content: bytearray) -> None:
    """Write all of it; one call may take a part only."""
    done = 0
    while done < len(content):
        done += file.write(bytes(content[done:]))
