"""Cleaning of foreign texts before they enter the store: what a name or prompt may do to a reader, it can do here."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

NAME_LENGTH = 200
TEXT_LENGTH = 4000
_DEPTH = 8
_WIDTH = 500  # entries of one JSON object or list

_SPACES = re.compile("[\t\n\v\f\r\x85\u2028\u2029]+")
# Controls, direction marks and overrides, zero-width characters, surrogates, tags, variation selectors of plane 14.
_UNWANTED = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\uffff"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)


def clean_text(value: object, limit: int = TEXT_LENGTH) -> str:
    """``value`` as one line of NFC text without control and direction characters, at most ``limit`` long.

    Line breaks and tabs become a space; a text that was cut ends in an ellipsis.
    """
    text = value if isinstance(value, str) else str(value)
    text = text[: 4 * limit]  # bounds the work below; normalising never shrinks a text by more
    if not (text.isascii() and text.isprintable()):
        text = _UNWANTED.sub("", _SPACES.sub(" ", text))
        text = unicodedata.normalize("NFC", text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def clean_optional(value: object, limit: int = NAME_LENGTH) -> str | None:
    """`clean_text`, or None for None."""
    return None if value is None else clean_text(value, limit)


def clean_json(value: Any, depth: int = 0) -> Any:
    """A JSON value with all its texts and keys cleaned, and depth and width bounded."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        if depth >= _DEPTH:
            return "…"
        return {clean_text(k, NAME_LENGTH): clean_json(v, depth + 1) for k, v in list(value.items())[:_WIDTH]}
    if isinstance(value, list):
        return "…" if depth >= _DEPTH else [clean_json(item, depth + 1) for item in value[:_WIDTH]]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
