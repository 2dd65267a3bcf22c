"""Foreign text made safe to show, and numbers made easy to read.

Everything that reaches a page passes through here once: `clean` is the finalizer of the template environment, and
`data_block` is the only way data get into a page's script element.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any

from markupsafe import Markup

from palimpsest.harness.specs.run_spec import PROTOCOL
from palimpsest.harness.system.json_values import json_value
from palimpsest.results.reading.foreign_text import Breaks, clean_text, is_clean

MISSING = "–"
"""Shown where nothing was measured."""
NARROW = "\u202f"
"""Narrow no-break space: between thousands and before units."""

_LIMIT = 4000
_SAFE_NAME = re.compile(r"[0-9a-z]{4,64}")
_UNSAFE_IN_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_UNSAFE = re.compile(f"[{''.join(_UNSAFE_IN_SCRIPT)}]")
_ESCAPED_OR_LONG = re.compile(rf'\\[bfru]|"[^"]{{{_LIMIT + 1}}}')
"""Places in JSON with an escaped control character, or a text that `clean` might cut."""


def clean(text: str, limit: int = _LIMIT) -> str:
    """Text without control, bidirectional or invisible characters, in NFC, at most ``limit`` characters long.

    Newlines and tabs stay. What is cut off is marked by an ellipsis.
    """
    return clean_text(text, Breaks.KEEP, limit)


def finalize(value: Any) -> Any:
    """The template environment's finalizer: every plain string is cleaned before it is escaped."""
    return clean(value) if type(value) is str else value


def data_block(value: Any) -> Markup:
    """JSON for a ``<script type="application/json">`` element, in which no character can end the element.

    Strings inside are cleaned; numbers that are not finite become null.
    """
    try:
        text = _json(value)
    except (ValueError, TypeError):  # numbers that are not finite, keys of several kinds
        text = _json(json_value(value, text=clean))
    else:
        if not is_clean(text, Breaks.KEEP) or _ESCAPED_OR_LONG.search(text):
            text = _json(json_value(value, text=clean))
    return Markup(_UNSAFE.sub(lambda found: _UNSAFE_IN_SCRIPT[found[0]], text))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)


def script(name: str, value: Any) -> bytes:
    """A data file: a classic script that hands ``value`` to the page under ``name``.

    Pages that lie on a disk may not fetch files, but may load scripts. Everything is escaped as in `data_block`.
    """
    return f"palimpsest.put({data_block(name)},{data_block(value)});\n".encode()


def file_name(identity: str) -> str:
    """A file name for a run or track: its own id where that is harmless, else a hash of it."""
    if _SAFE_NAME.fullmatch(identity):
        return identity
    return "x" + hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:15]


def slug(*texts: str) -> str:
    """Texts as parts of a file's name that people read: at most 40 ASCII letters, digits, dots and hyphens of each."""
    parts = (re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:40] for text in texts)
    return "-".join(filter(None, parts))


def is_number(value: float | None) -> bool:
    """True if there is a finite number to show."""
    return value is not None and math.isfinite(value)


def fixed(value: float | None, digits: int = 1) -> str:
    """A number with a fixed count of decimals, thousands apart, a true minus sign."""
    if value is None or not math.isfinite(value):
        return MISSING
    rounded = round(value, digits) + 0.0
    return f"{rounded:,.{digits}f}".replace(",", NARROW).replace("-", "−")


def count(value: float | None) -> str:
    """A whole number."""
    return fixed(value, 0)


def older_protocol(protocol: int) -> str:
    """The mark of numbers that an older protocol measured, to stand behind a track or schedule; else nothing."""
    return "" if protocol >= PROTOCOL else f", old protocol {protocol}"


def seconds(value: float | None) -> str:
    """A duration in the largest unit that keeps it above one, with two or three digits."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value < 0.0995:
        return f"{value * 1000:.3g}{NARROW}ms"
    if value < 99.5:
        return f"{value:.2f}{NARROW}s" if value < 9.995 else f"{value:.1f}{NARROW}s"
    if value < 5970:
        return f"{value / 60:.1f}{NARROW}min"
    return f"{value / 3600:.1f}{NARROW}h"


def memory(megabytes: float | None) -> str:
    """A size given in MB, in MB or GB."""
    if megabytes is None or not math.isfinite(megabytes):
        return MISSING
    if megabytes < 1000:
        return f"{megabytes:.0f}{NARROW}MB"
    return f"{megabytes / 1000:.2f}{NARROW}GB"


def significant(value: float | None, digits: int = 4) -> str:
    """A number of unknown size with so many significant digits (norms, diagnostics)."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    return f"{value:.{digits}g}".replace("-", "−")


def day(time: str | None) -> str:
    """The date of an ISO time."""
    return time[:10] if time else MISSING


def minute(time: str | None) -> str:
    """Date and time of an ISO time in UTC, to the minute."""
    return f"{time[:10]} {time[11:16]} UTC" if time and len(time) >= 16 else day(time)
