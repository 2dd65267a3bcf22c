"""Output of the command line: results on stdout, notes on stderr, tables and JSON."""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from palimpsest.cli.streams import results
from palimpsest.harness.system.json_values import json_value
from palimpsest.harness.system.public_text import public
from palimpsest.results.reading.foreign_text import Breaks, harmless

_WIDE_ENOUGH = 1_000_000
"""Columns of what is read by programs: nothing is cut or wrapped there."""


def line(text: str = "") -> None:
    """One line of results on stdout."""
    _write(clean(text) + "\n")


def note(text: str) -> None:
    """One message to the person, on stderr."""
    sys.stderr.write("\n".join(clean(part) for part in text.split("\n")) + "\n")
    sys.stderr.flush()


def flush() -> None:
    """Write out what stdout still holds."""
    results().flush()


def _write(text: str) -> None:
    """Write to stdout, whatever its encoding lacks as question marks."""
    try:
        results().write(text)
    except UnicodeEncodeError:
        encoding = results().encoding or "ascii"
        results().write(text.encode(encoding, "replace").decode(encoding))


def clean(text: str) -> str:
    """The text without characters that could take over the terminal, and without secrets; the home folder as ``~``."""
    return harmless(public(text, of_user=False), Breaks.SPACE)


def json_line(value: Any) -> None:
    """A value as indented JSON on stdout; numbers that JSON cannot write become null."""
    _write(json.dumps(json_value(value), indent=2, ensure_ascii=True, allow_nan=False) + "\n")


def cell(value: Any) -> str:
    """A value as a short text in a table."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e-2 and value else f"{value:,.2f}".replace(",", " ")
    return clean(str(value))


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Aligned columns, numbers to the right; on a terminal the last column wraps at the window's edge."""
    style = "" if os.environ.get("NO_COLOR") else "bold"
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=style)
    for number, header in enumerate(headers):
        numbers = bool(rows) and all(_is_number(row[number]) for row in rows)
        last = number == len(headers) - 1
        grid.add_column(Text(clean(header)), justify="right" if numbers else "left", no_wrap=not last)
    for row in rows:
        grid.add_row(*(Text(cell(value)) for value in row))
    terminal = results().isatty()
    width = shutil.get_terminal_size().columns if terminal else _WIDE_ENOUGH
    drawn = io.StringIO()
    Console(file=drawn, width=width, force_terminal=terminal, highlight=False).print(grid)
    _write("".join(f"{text.rstrip()}\n" for text in drawn.getvalue().splitlines()))


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def duration(seconds: float | None) -> str:
    """Seconds as a person says it: ``40 s``, ``3 min``, ``2 h 10 min``."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
