"""Editors around editors: ``revive(rect(memit))`` read, checked, and written in the one way in which it is stored.

A filter changes what its host writes and is named before it. A filter named alone stands around its default host.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from palimpsest.harness.errors import UsageError

DEEPEST = 8
"""At most this many editors inside each other."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SPACE = re.compile(r"\s*")


def parse(text: str) -> tuple[str, ...]:
    """The names in ``name`` or ``filter(host)``, outermost first; whether there are such editors is not asked.

    Raises:
        UsageError: The text is of another form; points at the place.
    """
    names: list[str] = []
    position = _after_space(text, 0)
    while True:
        name = _NAME.match(text, position)
        if name is None:
            raise _misread(text, position, "the name of an editor")
        if len(names) == DEEPEST:
            raise UsageError(f"Editor {text!r}: more than {DEEPEST} editors inside each other.")
        names.append(name.group())
        position = _after_space(text, name.end())
        if text[position : position + 1] != "(":
            break
        position = _after_space(text, position + 1)
    for _ in names[1:]:
        if text[position : position + 1] != ")":
            raise _misread(text, position, "a closing parenthesis")
        position = _after_space(text, position + 1)
    if position != len(text):
        raise _misread(text, position, "nothing more")
    return tuple(names)


def spell(names: Sequence[str]) -> str:
    """The text of a composition, without spaces: ``("revive", "memit")`` as ``revive(memit)``."""
    return "(".join(names) + ")" * (len(names) - 1)


def _after_space(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space is not None else position


def _misread(text: str, position: int, expected: str) -> UsageError:
    found = repr(text[position]) if position < len(text) else "the end"
    return UsageError(
        f"Editor {text!r}: expected {expected} at character {position + 1}, found {found}. "
        "A filter stands around its host: revive(memit), revive(rect(memit))."
    )


HOST = "host"
"""Field of a composition's configuration that holds its host's."""
