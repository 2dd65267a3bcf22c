"""Tracebacks, for those who ask with ``--debug`` or PALIMPSEST_DEBUG=1."""

from __future__ import annotations

import os
import sys
import traceback
from contextvars import ContextVar

WORD = "--debug"
_asked: ContextVar[bool] = ContextVar("asked", default=False)


def listen(words: list[str]) -> list[str]:
    """Note whether tracebacks are asked for; the words without that one, which may stand anywhere."""
    _asked.set(WORD in words or os.environ.get("PALIMPSEST_DEBUG", "") not in ("", "0"))
    return [word for word in words if word != WORD]


def asked() -> bool:
    """True if tracebacks are shown."""
    return _asked.get()


def show(error: BaseException) -> None:
    """Print the traceback, if it is asked for."""
    if asked():
        traceback.print_exception(error, file=sys.stderr)
