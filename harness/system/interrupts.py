"""Ctrl-C and SIGTERM: the first finishes the batch and saves, the second ends at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Stopped(BaseException):
    """A signal ends the run now; not an `Exception`, so that nobody swallows it on the way."""

    def __init__(self, word: str | None) -> None:
        """Args: ``interrupted``, ``terminated``, or None when a limit was reached."""
        super().__init__(word)
        self.word = word


class Interrupts:
    """Listens to signals while it is entered; without effect outside the main thread."""

    def __init__(self) -> None:
        self.requested: str | None = None
        """``interrupted`` or ``terminated`` once a signal has come."""
        self._at_once = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interrupts:
        """Begin to listen."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._heard) for number in WORDS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the former handlers back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """For work that is safe to drop, because all before it is saved: a signal ends it immediately."""
        if self.requested:
            raise Stopped(self.requested)
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def _heard(self, number: int, frame: FrameType | None) -> None:
        again = self.requested is not None
        self.requested = WORDS[signal.Signals(number)]
        if again or self._at_once:
            raise Stopped(self.requested)
