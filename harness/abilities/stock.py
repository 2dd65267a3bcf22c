"""lm-eval's own tasks, by name: slow to list, so listed once and only when asked for."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from functools import cache
from typing import Any


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Progress bars and notices of a library are swallowed; errors still raise."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        yield


@cache
def stock_manager() -> Any:
    """lm-eval's manager of its own tasks: slow to make, so it is made once and only when asked for."""
    with quiet():
        from lm_eval.tasks import TaskManager

        return TaskManager(include_defaults=True)
