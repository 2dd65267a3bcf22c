"""Palimpsest: one benchmark for sequential knowledge editing of language models.

For notebooks: `runs`, `Run`, `frame`, `FRAMES`, `edit`, `score`; they are imported when they are first asked for, and
torch and pandas when they are first needed. See docs/python-api.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palimpsest.api import FRAMES, Run, Scores, edit, frame, runs, score

__version__ = "0.1.0"
__all__ = ["FRAMES", "Run", "Scores", "__version__", "edit", "frame", "runs", "score"]


def __getattr__(name: str) -> Any:
    """Import the API when one of its names is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from palimpsest import api

    return getattr(api, name)


def __dir__() -> list[str]:
    """List the names of the API too."""
    return sorted({*globals(), *__all__})
