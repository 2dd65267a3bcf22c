"""Editors around editors: ``revive(rect(memit))`` read, checked, and written in the one way in which it is stored.

A filter changes what its host writes and is named before it. A filter named alone stands around its default host.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from palimpsest.harness.errors import EditorError, UsageError
from palimpsest.harness.plugins.entry_points import load_class

if TYPE_CHECKING:
    from palimpsest.harness.editor import Editor

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


def canonical_name(text: str) -> str:
    """How a composition is stored and shown: complete and without spaces, ``revive`` as ``revive(alphaedit)``.

    Raises:
        UsageError: It cannot be read, or an editor in it is not known or takes no host.
        EditorError: An editor in it cannot be imported.
    """
    return spell([name for name, _ in complete(text)])


def complete(text: str) -> list[tuple[str, type[Editor]]]:
    """Names and classes in a composition, outermost first, with the default host of a filter that is named alone.

    Raises:
        UsageError: It cannot be read, or an editor in it is not known or takes no host.
        EditorError: An editor in it cannot be imported, or default hosts lead in a circle.
    """
    found: list[tuple[str, type[Editor]]] = []
    names = list(parse(text))
    while names:
        name = names.pop(0)
        if len(found) == DEEPEST:
            raise EditorError(f"Editor {text!r}: its default hosts lead to more than {DEEPEST} editors inside another.")
        found.append((name, _load(name, text)))
        default = _default_host(found[-1][1])
        if names and default is None:
            raise UsageError(
                f"Editor {text!r}: {name!r} takes no host, only filters do. Turn it round, or leave out "
                f"{spell(names)!r}."
            )
        if not names and default is not None:
            names = list(parse(default))
    return found


def _load(name: str, text: str) -> type[Editor]:
    try:
        return load_class(name)
    except UsageError as error:
        if name == text.strip():
            raise
        raise UsageError(f"{error} (It is part of {text!r}.)") from None


def _default_host(cls: type[Editor]) -> str | None:
    from palimpsest.editors.toolkit.filtering import Filter

    return cls.default_host if issubclass(cls, Filter) else None


def _after_space(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space is not None else position


def _misread(text: str, position: int, expected: str) -> UsageError:
    found = repr(text[position]) if position < len(text) else "the end"
    return UsageError(
        f"Editor {text!r}: expected {expected} at character {position + 1}, found {found}. "
        "A filter stands around its host: revive(memit), revive(rect(memit))."
    )
