"""Troubles of the environment in words: a full disk, a folder that may not be written, too little memory."""

from __future__ import annotations

import errno
import os
import shutil

from palimpsest.harness.errors import MissingResource, PalimpsestError

_FULL = "The disk is full; nothing that was saved is lost. Free some space, then give the same command again."
_CLOSED = "Give the right to write there, or choose another place with --home or PALIMPSEST_HOME."
_FILES = "Too many files are open. Raise the limit (ulimit -n), then give the same command again."
_MEMORY = "There is not enough memory. Close other programs or raise the limit, then give the same command again."
_THREADS = "No more threads may be started. Close other programs or raise ulimit -u, then give the same command again."

_ADVICE = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "Raise the limit of a file's size (ulimit -f), then give the same command again.",
    errno.EROFS: _CLOSED,
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.ENOMEM: _MEMORY,
}
_SPOKEN = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENOMEM)
_PHRASES = {
    "out of memory": _MEMORY,
    "can't allocate memory": _MEMORY,
    "failed to map segment": _MEMORY,
    "can't start new thread": _THREADS,
    **{os.strerror(number).lower(): _ADVICE[number] for number in _SPOKEN},
}
"""Words of libraries in errors of their own classes → what to do."""


def trouble(error: BaseException, *, files: bool = True) -> MissingResource | None:
    """The words for an error that the machine caused, raised by Python or by a library; None for a program's own.

    Args:
        error: What was raised.
        files: A file that is missing, or none, counts too; else only disks, rights, memory, threads and handles.
    """
    if isinstance(error, PalimpsestError) or (isinstance(error, OSError) and not files and error.errno not in _ADVICE):
        return None
    words = _words(error)
    if words is None and error.__cause__ is not None:
        words = _words(error.__cause__)
    return None if words is None else MissingResource(words)


def _words(error: BaseException) -> str | None:
    text = str(error).strip()
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        text = str(error.args[0][0][-1])  # of many files that could not be copied, the first
    if isinstance(error, OSError) and error.strerror is not None:
        place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
        return f"{_sentence(place, error.strerror)} {_ADVICE.get(error.errno or 0, '')}".rstrip()
    if isinstance(error, MemoryError):
        return f"{_sentence('', text)} {_MEMORY}" if text else _MEMORY
    advice = next((advice for phrase, advice in _PHRASES.items() if phrase in text.lower()), None)
    if advice is not None:
        return f"{_sentence('', text)} {advice}"
    return (text or type(error).__name__) if isinstance(error, OSError) else None


def _sentence(place: str, reason: str) -> str:
    """A reason as a sentence, behind the file that it is about."""
    ended = reason.rstrip(".") + "."
    return f"{place}: {ended[:1].lower()}{ended[1:]}" if place else ended
