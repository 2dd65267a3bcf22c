"""Foreign JSON: one object from bytes, and single values of it, each of the kind that is wanted or none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from palimpsest.harness.system.strict_json import JsonProblem, parse
from palimpsest.results.reading.cleaning import NAME_LENGTH, clean_text
from palimpsest.results.reading.problems import Invalid

_LONGEST_TIME = 64
_MOST_NUMBERS = 200


def parse_object(data: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        Invalid: it is none.
    """
    try:
        value = parse(data)
    except JsonProblem as error:
        raise Invalid(f"is {clean_text(error, NAME_LENGTH)}") from error
    if not isinstance(value, dict):
        raise Invalid(f"must hold a JSON object, got {type(value).__name__}")
    return value


def whole(value: object) -> int | None:
    """A whole number from 0 that fits the store, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def number(value: object) -> float | None:
    """A finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None


def utc_time(value: object) -> str | None:
    """An ISO 8601 time as text in UTC with whole seconds, else None; a time without zone is taken as UTC."""
    if not isinstance(value, str) or len(value) > _LONGEST_TIME:
        return None
    try:
        time = datetime.fromisoformat(value)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time.isoformat(timespec="seconds")


def numbers(value: object) -> Mapping[str, float]:
    """The finite numbers of a JSON object by cleaned name; empty for anything else."""
    if not isinstance(value, dict):
        return {}
    pairs = ((clean_text(name, NAME_LENGTH), number(item)) for name, item in list(value.items())[:_MOST_NUMBERS])
    return {name: item for name, item in pairs if item is not None}
