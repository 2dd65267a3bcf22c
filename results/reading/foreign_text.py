"""Foreign text made harmless: one table of unwanted characters, three policies for line breaks.

The command line, the reader of foreign runs and the pages all clean with it; what is removed in one place is removed
in all. Letters of every script, combining marks, emoji and the joiners U+200C and U+200D (Persian, Indic scripts,
families of emoji) stay.
"""

from __future__ import annotations

import re
import unicodedata
from enum import Enum

_OTHER_BREAKS = "\v\f\r\x85\u2028\u2029"
"""Line breaks beside newline and tab."""
_UNWANTED = (
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"  # controls that break no line
    "\u00ad\u034f\u180e\u200b\u2060-\u2065\u3164\ufeff\uffa0"  # invisible: soft hyphen, zero width, fillers
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks, embeddings, overrides and isolates of direction
    "\u206a-\u206f\ufff0-\ufffc\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # deprecated and interlinear formats
    "\ud800-\udfff"  # surrogates
    "\ue000-\uf8ff\U000f0000-\U0010ffff"  # private use
    "\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e0fff"  # no characters, tags, variation selectors of plane 14
)


class Breaks(Enum):
    """Treatment of line breaks and tabs."""

    KEEP = "keep"
    """Newlines and tabs stay, other breaks go: paragraphs on a page."""
    SPACE = "space"
    """Each becomes a space: a line of a terminal, in which columns stay where they are."""
    JOIN = "join"
    """Each run of them becomes one space: names, messages, cells."""


_STEPS: dict[Breaks, tuple[tuple[re.Pattern[str], str], ...]] = {
    Breaks.KEEP: ((re.compile(f"[{_OTHER_BREAKS}{_UNWANTED}]+"), ""),),
    Breaks.SPACE: ((re.compile(f"[\t\n{_OTHER_BREAKS}]"), " "), (re.compile(f"[{_UNWANTED}]+"), "")),
    Breaks.JOIN: ((re.compile(f"[\t\n{_OTHER_BREAKS}]+"), " "), (re.compile(f"[{_UNWANTED}]+"), "")),
}


def harmless(text: str, breaks: Breaks) -> str:
    """``text`` without unwanted characters; what is left keeps its spelling, so that a path stays a path."""
    if text.isascii() and text.isprintable():
        return text
    for pattern, replacement in _STEPS[breaks]:
        text = pattern.sub(replacement, text)
    return text


def clean_text(text: str, breaks: Breaks, limit: int) -> str:
    """`harmless` text in NFC, at most ``limit`` characters long; a text that was cut ends in an ellipsis."""
    text = text[: 4 * limit]  # bounds the work below; normalising never shrinks a text by more
    if not text.isascii() or not text.isprintable():
        text = unicodedata.normalize("NFC", harmless(text, breaks))
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def is_clean(text: str, breaks: Breaks) -> bool:
    """True where `clean_text` would change nothing but the length."""
    if any(pattern.search(text) for pattern, _ in _STEPS[breaks]):
        return False
    return unicodedata.is_normalized("NFC", text)
