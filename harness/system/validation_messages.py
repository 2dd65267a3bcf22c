"""Faults that pydantic finds in a config, in our words: where, what was expected, what was found."""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

_EXPECTED = {
    "missing": "is missing",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "finite_number": "expected a finite number",
    "bool_type": "expected true or false",
    "string_type": "expected text",
    "string_too_short": "expected text that is not empty",
    "string_too_long": "expected a shorter text",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
    "dict_type": "expected fields with values",
    "model_type": "expected fields with values",
    "model_attributes_type": "expected fields with values",
    "too_short": "expected at least one entry",
    "none_required": "expected null",
}

_LIMITS = {
    "greater_than_equal": "of at least",
    "greater_than": "above",
    "less_than_equal": "of at most",
    "less_than": "below",
}


def describe(error: ValidationError, model: type[BaseModel], place: Callable[[Sequence[str | int]], str]) -> list[str]:
    """One message for each problem that a validation found.

    Args:
        error: What pydantic raised.
        model: The class that was validated, for the names of its fields.
        place: Turns the path to a field (names and list positions) into what the person wrote: file and field.
    """
    return [
        f"{place(item['loc'])}: {sentence}" + ("" if sentence.endswith("?") else ".")
        for item in error.errors(include_url=False)
        if item["type"] != "none_required"
        for sentence in [_sentence(item, model)]
    ]


def _sentence(item: Any, model: type[BaseModel]) -> str:
    kind, context = item["type"], item.get("ctx", {})
    if kind == "extra_forbidden":
        return "is not a field" + near(str(item["loc"][-1]), _fields_at(model, item["loc"][:-1]))
    if kind == "missing":
        return _EXPECTED[kind]
    if kind == "value_error":
        return str(context.get("error", item["msg"]))
    if kind in _LIMITS:
        words = _LIMITS[kind]
        number = "whole number" if isinstance(item["input"], int) else "number"
        expected = f"expected a {number} {words} {next(iter(context.values()))}"
    elif kind == "literal_error":
        expected = f"expected {context['expected']}"
    else:
        message = str(item["msg"])
        expected = _EXPECTED.get(kind, message[:1].lower() + message[1:])
    return f"{expected}, got {shown(item['input'])}"


def near(name: str, known: Iterable[str]) -> str:
    """A hint that continues a sentence: the nearest known names, or all of them when none is near."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; the fields are {', '.join(known)}" if known else ""


def shown(value: Any, limit: int = 60) -> str:
    """A value as the person may have written it, cut to a bearable length."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _fields_at(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """Names of the fields of the model that ``path`` leads to, from ``model`` down."""
    current: Any = model
    for part in path:
        if isinstance(part, str) and _is_model(current) and part in current.model_fields:
            current = _model_inside(current.model_fields[part].annotation)
    return list(current.model_fields) if _is_model(current) else []


def _model_inside(annotation: Any) -> Any:
    """The model class in ``Model``, ``Model | None``, ``tuple[Model, ...]``; the annotation itself if there is none."""
    if get_origin(annotation) in (tuple, list, Union, types.UnionType):
        return next((found for part in get_args(annotation) if _is_model(found := _model_inside(part))), annotation)
    return annotation


def _is_model(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, BaseModel)


def dotted(path: Sequence[str | int]) -> str:
    """``("schedule", "checkpoints", 2)`` as ``schedule.checkpoints[2]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
