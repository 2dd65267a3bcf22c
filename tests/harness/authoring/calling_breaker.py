"""Calls home while it is imported."""

import contextlib
import socket

from breakers import Honest  # type: ignore[import-not-found]  # beside it, once installed

with contextlib.suppress(OSError):
    socket.create_connection(("127.0.0.1", 9), timeout=0.1)


class Calling(Honest):  # type: ignore[misc]
    """Otherwise honest."""
