"""The page, built again while runs go on: its address is known before there is anything on it."""

from __future__ import annotations

import threading
from pathlib import Path

from palimpsest.cli import output
from palimpsest.harness.system import child

_MODULE = "palimpsest.cli"


class PageBuilder:
    """Ingests and builds in processes of its own, one after another, whenever a run has ended."""

    def __init__(self, home: Path) -> None:
        """Say where the page will be.

        Args:
            home: Folder of runs, caches and store.
        """
        self._home = home.absolute()
        self._wanted = threading.Event()
        self._last = threading.Event()
        self._begun = False
        self._told: set[str] = set()
        page = self._home / "site" / "index.html"
        output.note(f"The page, built again after every run: {page.as_uri()}")
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def first(self) -> None:
        """A run has its first scores; they are shown if nothing is on the page yet."""
        if not self._begun:
            self.again()

    def again(self) -> None:
        """A run has ended; the page is built again as soon as the last building is done."""
        self._begun = True
        self._wanted.set()

    def close(self) -> None:
        """Build what was not built yet, and wait for it."""
        self._last.set()
        self._wanted.set()
        self._thread.join()

    def _work(self) -> None:
        while True:
            self._wanted.wait()
            last = self._last.is_set()
            self._wanted.clear()
            self._build()
            if last:
                return

    def _build(self) -> None:
        for words in (("store", "ingest", "--quiet"), ("site", "build")):
            done = child.run("-m", _MODULE, *words, "--home", str(self._home))
            message = done.stderr.strip()
            if done.returncode and message not in self._told:
                self._told.add(message)
                output.note(f"The page could not be built: {message}")
                return
