"""Compositions made complete: names become classes, default hosts are filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.harness.errors import EditorError, UsageError
from palimpsest.harness.plugins.entry_points import load_class
from palimpsest.harness.specs.composition import DEEPEST, parse, spell

if TYPE_CHECKING:
    from palimpsest.harness.editor import Editor


def canonical_name(text: str) -> str:
    """A composition as it is stored and shown: complete and without spaces, ``revive`` as ``revive(alphaedit)``.

    Raises:
        UsageError: It cannot be read, or an editor in it is not known or takes no host.
        EditorError: An editor in it cannot be imported.
    """
    return spell([name for name, _ in complete(text)])


def complete(text: str) -> list[tuple[str, type[Editor]]]:
    """Names and classes in a composition, outermost first, with the default host of a filter that is named alone.

    Raises:
        UsageError: It cannot be read, or an editor in it is not known or takes no host.
        EditorError: An editor in it cannot be imported, or default hosts form a cycle.
    """
    found: list[tuple[str, type[Editor]]] = []
    names = list(parse(text))
    while names:
        name = names.pop(0)
        if len(found) == DEEPEST:
            raise EditorError(f"Editor {text!r}: its default hosts lead to more than {DEEPEST} editors inside another.")
        found.append((name, _load(name, text)))
        default = found[-1][1].default_host
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
