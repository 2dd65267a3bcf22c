"""Run folders read by several processes at once, in order, a few ahead of the one process that writes the store."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO

from palimpsest.harness.errors import MissingResource
from palimpsest.harness.system import child
from palimpsest.results.reading.cleaning import clean_text
from palimpsest.results.store.run_reader import Reading, Wanted, heard, left_out, read

_TRIES = 2
"""Processes that may die over one folder before it is left out."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""Environment variables of a reader: there are others for the other cores, and waiting threads of one take them."""


@contextmanager
def readings(folders: Sequence[Wanted], jobs: int) -> Iterator[Iterator[Reading]]:
    """The readings of folders, in their order; inside the context only.

    Args:
        folders: What is to be read.
        jobs: Processes that read; 1: this one does. At most so many readings wait to be taken.

    Raises:
        MissingResource: No process can be started, or there is no room for its files.
    """
    if jobs == 1 or len(folders) < 2:
        yield map(read, folders)
        return
    with (
        tempfile.TemporaryDirectory(prefix="palimpsest-ingest-", ignore_cleanup_errors=True) as place,
        _Readers(Path(place), min(jobs, len(folders))) as readers,
    ):
        yield readers.read(folders)


class _Readers:
    """So many processes, each asked for one folder at a time by a thread of its own."""

    def __init__(self, place: Path, jobs: int) -> None:
        """Set up; each process is started when it is first needed."""
        self._place = place
        self._jobs = jobs
        self._log = (place / "log").open("w+b")
        self._threads = ThreadPoolExecutor(jobs)
        self._idle: queue.SimpleQueue[subprocess.Popen[str] | None] = queue.SimpleQueue()
        self._closed = False
        self._living: set[subprocess.Popen[str]] = set()
        for _ in range(jobs):
            self._idle.put(None)

    def __enter__(self) -> _Readers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all processes, whatever they are at."""
        self._closed = True
        for process in list(self._living):
            process.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in list(self._living):
            self._end(process)
        self._log.close()

    def read(self, folders: Sequence[Wanted]) -> Iterator[Reading]:
        """The readings in order. The files of one are gone when the next is asked for."""
        coming: deque[tuple[Path, Future[Reading]]] = deque()
        for number, wanted in enumerate(folders):
            place = self._place / str(number)
            coming.append((place, self._threads.submit(self._ask, wanted, place)))
            if len(coming) > self._jobs:
                yield from self._taken(*coming.popleft())
        while coming:
            yield from self._taken(*coming.popleft())

    def _taken(self, place: Path, coming: Future[Reading]) -> Iterator[Reading]:
        yield coming.result()
        _clear(place)

    def _ask(self, wanted: Wanted, place: Path) -> Reading:
        """Have one process read a folder; another one, if the first dies over it."""
        question = asdict(wanted) | {"folder": str(wanted.folder.absolute())}
        process = self._idle.get()
        try:
            for _ in range(_TRIES):
                _clear(place)
                place.mkdir(exist_ok=True)
                process = process or self._start()
                line = _exchange(process, json.dumps(question | {"place": str(place)}))
                if line.endswith("\n"):
                    reading = heard(line, place)
                    reading.folder = wanted.folder
                    return reading
                code = self._end(process)
                process = None
                if self._closed:
                    break
        except OSError as error:
            raise MissingResource(f"No process can read for the store: {error}. Try --jobs 1.") from error
        finally:
            self._idle.put(process)
        return left_out(wanted.folder, self._why(code))

    def _start(self) -> subprocess.Popen[str]:
        process = child.start_kept(
            "-m", "palimpsest.results.store.run_reader", errors=self._log.fileno(), variables=_ONE_THREAD
        )
        self._living.add(process)
        if self._closed:
            process.kill()
        return process

    def _end(self, process: subprocess.Popen[str]) -> int:
        process.kill()
        with suppress(BrokenPipeError):  # what it was not asked any more
            if process.stdin is not None:
                process.stdin.close()
        with process:
            self._living.discard(process)
        return process.returncode

    def _why(self, code: int) -> str:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        said = (self._place / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = f" ({clean_text(said[-1], 300)})" if said else ""
        return f"the process that reads it {how}, {_TRIES} times{last}; with fewer --jobs there is more memory for each"


def _exchange(process: subprocess.Popen[str], question: str) -> str:
    """Ask, and wait for the answer; it does not end with a line break where the process has died."""
    sent: IO[str] | None = process.stdin
    received: IO[str] | None = process.stdout
    try:
        if sent is None or received is None:
            return ""
        sent.write(question + "\n")
        sent.flush()
        return received.readline()
    except (OSError, ValueError):
        return ""


def _clear(place: Path) -> None:
    """Remove the files of a reading, as far as nothing uses them."""
    shutil.rmtree(place, ignore_errors=True)
