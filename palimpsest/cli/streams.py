"""Standard output that may be closed, full, or left by its reader: one place that knows, for everything printed.

While a verb works, only what the command line prints itself goes there; what editors and libraries print joins the
messages on standard error, so that ``--json`` stays JSON.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, ParamSpec, TextIO, TypeVar

from palimpsest.harness.errors import MissingResource

P = ParamSpec("P")
T = TypeVar("T")


class Results:
    """Standard output, for results: a reader that left (``| head``) is no error, a full disk is one in words."""

    def __init__(self, stream: TextIO | None) -> None:
        """Wrap ``stream``; None: it was closed before this process began."""
        self._stream = stream
        self._unread = False

    def write(self, text: str) -> int:
        """Write, unless nobody reads any more.

        Raises:
            MissingResource: It is closed or cannot be written.
        """
        with self._told():
            if self._stream is None:
                raise ValueError("it is closed")
            if not self._unread:
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write out what is held.

        Raises:
            MissingResource: It cannot be written.
        """
        with self._told():
            if self._stream is not None and not self._unread:
                self._stream.flush()

    def isatty(self) -> bool:
        """True if a person sees it in a terminal."""
        return self._stream is not None and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._drop()
        except UnicodeEncodeError:
            raise
        except (OSError, ValueError) as error:
            self._drop()
            reason = getattr(error, "strerror", None) or error
            raise MissingResource(
                f"Standard output cannot be written ({reason}); the results are not shown."
            ) from error

    def _drop(self) -> None:
        """Let go of what is held, which Python would try to write once more at its end."""
        self._unread = True
        with contextlib.suppress(AttributeError, OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())  # type: ignore[union-attr]


class Notes:
    """Standard error, for messages: where it cannot be written, nobody can be told."""

    def __init__(self, stream: TextIO | None) -> None:
        """Wrap ``stream``; None: it was closed before this process began."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        with contextlib.suppress(AttributeError, OSError, ValueError):
            self._stream.write(text)  # type: ignore[union-attr]
        return len(text)

    def flush(self) -> None:
        """Write out what is held, as far as it can be written."""
        with contextlib.suppress(AttributeError, OSError, ValueError):
            self._stream.flush()  # type: ignore[union-attr]

    def isatty(self) -> bool:
        """True if a person sees it in a terminal."""
        return self._stream is not None and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


_results: ContextVar[Results | None] = ContextVar("results", default=None)


def results() -> Results | TextIO:
    """Stream that results go to."""
    return _results.get() or sys.stdout


def only_results(work: Callable[P, T]) -> Callable[P, T]:
    """``work`` with every ``print`` of others on standard error."""

    @functools.wraps(work)
    def alone(*args: P.args, **kwargs: P.kwargs) -> T:
        ours = sys.stdout if isinstance(sys.stdout, Results) else Results(sys.stdout)
        before = _results.set(ours)
        try:
            with contextlib.redirect_stdout(sys.stderr):
                return work(*args, **kwargs)
        finally:
            _results.reset(before)

    return alone


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Standard output and error are `Results` and `Notes` meanwhile."""
    _keep_their_places()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Results(before[0]), Notes(before[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _keep_their_places() -> None:
    """Open /dev/null where a standard stream was closed, lest a file get its number and what C code prints to it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
