"""Many short texts on the disk instead of in memory: nothing of them is an object of this process until it is read."""

from __future__ import annotations

import os
import tempfile
import weakref
from array import array
from collections.abc import Iterable


class PackedLines:
    """Texts in a temporary file without a name, which goes with this object."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Write the texts.

        Raises:
            OSError: The folder of temporary files takes no more.
        """
        file = tempfile.TemporaryFile()  # noqa: SIM115  (closed by the finaliser)
        weakref.finalize(self, file.close)
        ends = array("q", [0])
        for text in texts:
            ends.append(ends[-1] + file.write(text.encode()))
        file.flush()
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
