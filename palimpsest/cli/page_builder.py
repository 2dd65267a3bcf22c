"""The page, built again while runs go on: its address is known before there is anything on it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from palimpsest.cli import options, output
from palimpsest.harness.system import child
from palimpsest.harness.system.environment import cores

_MODULE = "palimpsest.cli"
_NO_BUNDLES = Path(os.devnull)
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""Environment variables of the processes: the runs have the cores."""
_LEFT_OUT = 1
"""Exit code of an ingest that has left something out."""


class PageBuilder:
    """Ingests and builds in processes of its own, one after another, whenever a run has ended.

    While runs go on, it takes those of the home alone: of bundles there may be many, and they would take the cores from
    the runs for a minute. They come in when the last run has ended, and not at all after a signal.
    """

    def __init__(self, home: Path) -> None:
        """Say where the page will be.

        Args:
            home: Folder of runs, caches and store.
        """
        self._home = home.absolute()
        self._submissions = options.submissions_folder().absolute()  # children work in another folder
        self._wanted = threading.Event()
        self._last = threading.Event()
        self._begun = self._stopped = False
        self._told: set[str] = set()
        page = self._home / "site" / "index.html"
        output.note(f"The page, built again after every run: {page.as_uri()}")
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def first(self) -> None:
        """A run has its first scores; they are shown if nothing is on the page yet."""
        if not self._begun:
            self.again()

    def again(self, *, stopped: bool = False) -> None:
        """A run has ended, or was ``stopped`` by a signal; the page is built again when the last building is done."""
        self._begun = True
        self._stopped |= stopped
        self._wanted.set()

    def close(self) -> None:
        """Build what was not built yet, with what was published, and wait for it."""
        self._last.set()
        self._wanted.set()
        self._thread.join()

    def _work(self) -> None:
        while True:
            self._wanted.wait()
            last = self._last.is_set()
            self._wanted.clear()
            if last and self._joined():
                output.note("The published runs join the page.")
                self._build(self._submissions, cores())
            else:
                self._build()
            if last:
                return

    def _joined(self) -> bool:
        """True where something is published here and nobody waits for the end after a signal."""
        # Late: it loads the store, which --help need not wait for.
        from palimpsest.cli.store_place import included

        return not self._stopped and included(self._submissions) is not None

    def _build(self, submissions: Path = _NO_BUNDLES, readers: int = 1) -> None:
        """Bring in what is new, and build; what is left out of the store keeps nothing else from the page."""
        ingest = ("store", "ingest", "--quiet", "--submissions", str(submissions), "--jobs", str(readers))
        for words in (ingest, ("site", "build")):
            done = child.run("-m", _MODULE, *words, "--home", str(self._home), variables=_ONE_THREAD)
            message = done.stderr.strip()
            some = words is ingest and done.returncode == _LEFT_OUT
            if done.returncode and message not in self._told:
                self._told.add(message)
                output.note(f"{'Not all is on the page' if some else 'The page could not be built'}: {message}")
            if done.returncode and not some:
                return
