"""What the command line prints: results on stdout, notes on stderr, tables and JSON."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

from palimpsest.harness.system.clean_text import Breaks, harmless
from palimpsest.harness.system.json_values import json_value


def line(text: str = "") -> None:
    """One line of results on stdout. A reader that went away (``| head``) is not an error."""
    try:
        sys.stdout.write(clean(text) + "\n")
    except BrokenPipeError:
        _drop_stdout()
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(clean(text).encode(encoding, "replace").decode(encoding) + "\n")


def note(text: str) -> None:
    """One message to the person, on stderr."""
    try:
        sys.stderr.write("\n".join(clean(part) for part in text.split("\n")) + "\n")
        sys.stderr.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def flush() -> None:
    """Write out what stdout still holds."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()


def _drop_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def clean(text: str) -> str:
    """The text without control and direction characters, which could take over the terminal."""
    return harmless(text, Breaks.SPACE)


def json_line(value: Any) -> None:
    """A value as indented JSON on stdout; numbers that JSON cannot write become null."""
    line_safe = json.dumps(json_value(value), indent=2, ensure_ascii=True, allow_nan=False)
    for text in line_safe.split("\n"):
        line(text)


def cell(value: Any) -> str:
    """A value as a short text in a table."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e-2 and value else f"{value:,.2f}".replace(",", " ")
    return clean(str(value))


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Aligned columns; numbers to the right; on a terminal the last column is cut to the window's width."""
    texts = [[cell(value) for value in row] for row in rows]
    widths = [max(map(display_width, column)) for column in zip(headers, *texts, strict=True)]
    right = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(headers))]
    window = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for index, row in enumerate([list(headers), *texts]):
        parts = [_pad(text, width, right=side) for text, width, side in zip(row, widths, right, strict=True)]
        text = "  ".join(parts).rstrip()
        if window is not None and display_width(text) > window:
            text = text[: window - 1] + "…"
        if index == 0 and window is not None and not os.environ.get("NO_COLOR"):
            sys.stdout.write("\x1b[1m")
            line(text)
            sys.stdout.write("\x1b[0m")
        else:
            line(text)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def display_width(text: str) -> int:
    """Columns that the text takes on a terminal: wide East Asian characters take two, combining marks none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _pad(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - display_width(text))
    return space + text if right else text + space


def duration(seconds: float | None) -> str:
    """Seconds as a person says it: ``40 s``, ``3 min``, ``2 h 10 min``."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
