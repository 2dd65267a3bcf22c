"""JSON as its standard has it: UTF-8, no NaN, no key twice; a text that is read in two ways is read in none."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any


class JsonProblem(ValueError):
    """A text is no JSON; the message says why and where."""


def parse(raw: bytes | str) -> Any:
    """The value in a JSON text.

    Raises:
        JsonProblem: It is none, or a key stands twice in one object.
    """
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
        return json.loads(text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_object)
    except JsonProblem:
        raise
    except UnicodeDecodeError as error:
        raise JsonProblem(f"not UTF-8 (byte {error.object[error.start]:#04x} at {error.start + 1})") from error
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise JsonProblem(f"not valid JSON ({error.msg}, {at})") from error
    except RecursionError as error:
        raise JsonProblem("not valid JSON (nested too deep)") from error
    except ValueError as error:  # a number of thousands of digits
        raise JsonProblem(f"not valid JSON ({str(error).partition(';')[0]})") from error


def _no_number(name: str) -> Any:
    raise JsonProblem(f"not valid JSON ({name} is no number there)")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise JsonProblem(f"not valid JSON ({text[:40]} is beyond all numbers)")
    return number


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise JsonProblem(f"not valid JSON (the key {twice[:40]!r} stands twice in one object)")
    return found
