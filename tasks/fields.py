"""Fields of a record, checked as they are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from palimpsest.tasks.records import RecordProblem

LONGEST = 10_000
"""Characters of one text; the longest of CounterFact and ZsRE has a few hundred."""
_STRANGE = re.compile("[\0\ud800-\udfff]")
"""A character that no text has."""


def text_field(record: Any, field: str, *, empty: bool = False) -> str:
    """The text at the dotted path ``field``.

    Raises:
        RecordProblem: There is none, it is empty (unless it may be), too long, or holds a character that no text has.
    """
    value = _at(record, field)
    if not isinstance(value, str):
        raise RecordProblem(f"{field}: expected text, got {value!r:.80}.")
    if not empty and not value.strip():
        raise RecordProblem(f"{field}: must not be empty.")
    return _sound(field, value)


def text_list(record: Any, field: str, *, needed: bool = True) -> tuple[str, ...]:
    """The list of texts at ``field``; one that is not needed may be absent, and is then empty.

    Raises:
        RecordProblem: It is missing, no list, or holds something else than sound texts.
    """
    if not needed and isinstance(record, Mapping) and field not in record:
        return ()
    value = _at(record, field)
    if not isinstance(value, list) or any(not isinstance(item, str) or not item.strip() for item in value):
        raise RecordProblem(f"{field}: expected a list of texts that are not empty, got {value!r:.80}.")
    return tuple(_sound(field, item) for item in value)


def case_number(record: Any, index: int) -> int:
    """The record's ``case_id``, or its place in the file where it has none.

    Raises:
        RecordProblem: It is no whole number from 0 to 2³¹ − 1.
    """
    value = record.get("case_id", index) if isinstance(record, Mapping) else index
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 31:
        raise RecordProblem(f"case_id: expected a whole number from 0 to 2147483647, got {value!r:.80}.")
    return value


def without_gaps(field: str, text: str) -> str:
    """The text, which has no braces: these mark the subject's place in prompts.

    Raises:
        RecordProblem: It has one.
    """
    if "{" in text or "}" in text:
        raise RecordProblem(f"{field}: braces mark the subject's place and may not stand elsewhere, got {text!r:.80}.")
    return text


def stripped(value: Any, depth: int = 4) -> Any:
    """A record with no space at the beginning or end of its texts, down to ``depth`` levels; equal if there was none.

    A prompt that ends in a space asks for another token than the one that follows a space, and a subject that does is
    edited at the word after it, so all texts of a record are treated alike.
    """
    if isinstance(value, str):
        return value.strip()
    if depth == 0:
        return value
    if isinstance(value, Mapping):
        return {name: stripped(entry, depth - 1) for name, entry in value.items()}
    return [stripped(entry, depth - 1) for entry in value] if isinstance(value, list) else value


def _sound(field: str, text: str) -> str:
    if len(text) > LONGEST:
        raise RecordProblem(f"{field}: has {len(text):,} characters; a text has at most {LONGEST:,}.")
    if _STRANGE.search(text):
        raise RecordProblem(f"{field}: holds a character that no text has, got {text!r:.80}.")
    return text


def _at(record: Any, field: str) -> Any:
    for part in field.split("."):
        if not isinstance(record, Mapping):
            raise RecordProblem(f"{field}: expected an object, got {record!r:.80}.")
        if part not in record:
            raise RecordProblem(f"{field}: is missing.")
        record = record[part]
    return record
