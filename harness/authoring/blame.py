"""Exceptions that end a check: where in the plugin they came from, and each told once."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Collection
from pathlib import Path

from palimpsest.harness.authoring.report import Finding
from palimpsest.harness.errors import ConfigError, PalimpsestError
from palimpsest.harness.plugins.compositions import complete


class Errors:
    """Turns what an editor raises into findings; one that was told before is only named."""

    def __init__(self, editor: str, failed: Callable[[BaseException], None]) -> None:
        """Take up an editor or a composition; ``failed`` gets each exception, once those that are the same."""
        self._editor = editor
        self._failed = failed
        self._told: dict[tuple[str, str], str] = {}

    def finding(self, check: str, error: BaseException) -> Finding:
        """A failure: what was raised, and file, line and function in the plugin."""
        said = " ".join(str(error).split()) or "no message"
        observed = said if isinstance(error, PalimpsestError) else f"{type(error).__name__}: {said}"
        place = place_of(error, sources(self._editor))
        first = self._told.setdefault((observed, place), check)
        if first != check:
            return Finding("fail", f"the same error as in {first}", "no error", place, same_as=first)
        self._failed(error)
        if isinstance(error, ConfigError):
            expected = "an editor that can be prepared on this model"
            return Finding("fail", observed, expected, place or "its configuration for this model, and `prepare`")
        return Finding("fail", observed, "no error", place or "the method that the message names; --debug shows where")


def sources(editor: str) -> list[Path]:
    """Folder of each package, or file of each module, that the editors of a composition are from."""
    places = []
    try:
        classes = [cls for _, cls in complete(editor)]
    except PalimpsestError:
        return []
    for cls in classes:
        package = sys.modules.get(cls.__module__.partition(".")[0])
        file = getattr(sys.modules.get(cls.__module__), "__file__", None)
        folders = list(getattr(package, "__path__", ())) if not cls.__module__.startswith("palimpsest.") else []
        places += [Path(folder) for folder in folders] or ([Path(file)] if file else [])
    return places


def place_of(error: BaseException, inside: Collection[Path]) -> str:
    """Innermost place in these files and folders that an exception, or what caused it, came through; empty if none."""
    causes = [error]
    while causes[-1].__cause__ is not None and len(causes) < 10:
        causes.append(causes[-1].__cause__)
    for cause in reversed(causes):
        for frame in reversed(traceback.extract_tb(cause.__traceback__)):
            path = Path(frame.filename)
            within = next((place for place in inside if path == place or path.is_relative_to(place)), None)
            if within is not None:
                return f"{path.relative_to(within.parent)}, line {frame.lineno}, in {frame.name}"
    return ""
