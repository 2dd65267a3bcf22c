"""Cleaning of foreign texts before they enter the store: what a name or prompt may do to a reader, it can do here."""

from __future__ import annotations

from typing import Any

from palimpsest.harness.system.json_values import json_value
from palimpsest.results.reading import foreign_text

NAME_LENGTH = 200
TEXT_LENGTH = 4000
_DEPTH = 8
_WIDTH = 500  # entries of one JSON object or list


def clean_text(value: object, limit: int = TEXT_LENGTH) -> str:
    """``value`` as one line of NFC text without control and direction characters, at most ``limit`` long.

    Line breaks and tabs become a space; a text that was cut ends in an ellipsis.
    """
    return foreign_text.clean_text(value if isinstance(value, str) else str(value), foreign_text.Breaks.JOIN, limit)


def clean_optional(value: object, limit: int = NAME_LENGTH) -> str | None:
    """`clean_text`, or None for None."""
    return None if value is None else clean_text(value, limit)


def clean_json(value: Any) -> Any:
    """A JSON value with all its texts and keys cleaned, and depth and width bounded."""
    return json_value(_bounded(value, 0), not_finite=str, text=clean_text)


def _bounded(value: Any, depth: int) -> Any:
    if isinstance(value, dict | list) and depth >= _DEPTH:
        return "…"
    if isinstance(value, dict):
        return {clean_text(k, NAME_LENGTH): _bounded(v, depth + 1) for k, v in list(value.items())[:_WIDTH]}
    if isinstance(value, list):
        return [_bounded(item, depth + 1) for item in value[:_WIDTH]]
    return value
