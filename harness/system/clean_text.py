"""Foreign text made harmless, and our own text made public.

Foreign text: one table of unwanted characters, three policies for line breaks.

The command line, the reader of foreign runs and the pages all clean with it; what is removed in one place is removed
in all. Letters of every script, combining marks, emoji and the joiners U+200C and U+200D (Persian, Indic scripts,
families of emoji) stay.

Our own: whatever may leave the machine (journals, reports, records of the environment) passes through `public`.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from pathlib import Path

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

_SECRET_NAME = re.compile(
    "TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE|COOKIE|AUTH|WEBHOOK", re.IGNORECASE
)
_SECRET_VALUE = re.compile(r"\S*://\S*@\S*|(?=\S*[0-9])(?=\S*[A-Za-z])[^\s/\\:;,]{20,}")
"""An address with a password, or a long word of letters and digits that is no path."""
_USER = ("USER", "LOGNAME", "USERNAME")
_NO_NAMES = ("root", "user", "home", "runner", "ubuntu", "nobody", "admin", "model", "data", "test", "palimpsest")
"""Names of accounts that say nothing about anybody, and are words of ours."""


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


def public(text: str, *, of_user: bool = True) -> str:
    """``text`` with ``$NAME`` for values of environment variables that may be secret, and ``~`` for the home folder.

    The user's name goes, too: ``/scratch/USER/x``; a path that shall be used as it is shown keeps it
    (``of_user=False``).
    """
    for pattern, replacement in _replacements(tuple(os.environ.items()), of_user):
        text = pattern.sub(replacement, text)
    return text


@lru_cache(maxsize=4)
def _replacements(variables: tuple[tuple[str, str], ...], of_user: bool) -> tuple[tuple[re.Pattern[str], str], ...]:
    named = dict(variables)
    return (*_secrets(named), *_homes(), *(_users(named) if of_user else ()))


def _secrets(variables: dict[str, str]) -> Iterator[tuple[re.Pattern[str], str]]:
    for name, value in sorted(variables.items(), key=lambda item: -len(item[1])):
        if (_SECRET_NAME.search(name) and len(value) >= 6) or _SECRET_VALUE.fullmatch(value):
            yield re.compile(re.escape(value)), f"${name}".replace("\\", "")


def _homes() -> Iterator[tuple[re.Pattern[str], str]]:
    try:
        home = Path.home()
    except RuntimeError:  # nobody's
        return
    for place in sorted({str(home), str(home.resolve())}, key=len, reverse=True):
        if len(Path(place).parts) > 1:
            yield re.compile(rf"'{re.escape(place)}/([^'\n]* [^'\n]*)'"), r"~/'\1'"  # a shell knows ~ unquoted only
            yield re.compile(rf"(?<![\w.~-]){re.escape(place)}(?![\w-])"), "~"


def _users(variables: dict[str, str]) -> Iterator[tuple[re.Pattern[str], str]]:
    for name in {variables.get(key, "") for key in _USER}:
        if len(name) >= 4 and name.lower() not in _NO_NAMES:
            yield re.compile(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])"), "USER"
        elif len(name) == 3:  # a short name may be a word
            yield re.compile(rf"(?<=[/\\]){re.escape(name)}(?![\w-])"), "USER"
