"""Errors meant for people: what happened, where, what was expected, what to do.

Every error a user can cause derives from `PalimpsestError` and knows the exit code that the command line ends with.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PalimpsestError(Exception):
    """Base of all errors shown without a traceback; ``exit_code`` is what the command ends with."""

    exit_code = 1


class UsageError(PalimpsestError):
    """A name or flag that does not exist or does not fit."""

    exit_code = 2


class ConfigError(PalimpsestError):
    """A spec, suite, preset or data file with a wrong field or value; lists all problems together."""

    exit_code = 2


class MissingResource(PalimpsestError):
    """The environment lacks something: a model, data, an extra, memory, disk space."""

    exit_code = 4


class EditorError(PalimpsestError):
    """An editor broke its contract or could not do an edit."""


class ModelCollapsed(EditorError):
    """Weights, updates or losses are no longer finite numbers; the run ends as collapsed, which is a result."""


class RunBusy(PalimpsestError):
    """Another process works on the same run."""

    exit_code = 3


class RunFailed(PalimpsestError):
    """A run ended before its last edit; the reason is recorded with it."""


class EngineMismatch(PalimpsestError):
    """An engine does not answer as the edited model in memory does; nothing it says can be scored."""


class StoreError(PalimpsestError):
    """The store cannot be read or written."""

    exit_code = 4


def unknown_name(kind: str, name: str, known: Iterable[str], how_to_list: str) -> UsageError:
    """A `UsageError` for a wrong name, with the nearest right ones and the command that lists all."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
    return UsageError(f"{kind} {name!r} is not known.{hint} All: {how_to_list}")


def first_line(error: Exception) -> str:
    """The first line of an error's message, at most 300 characters; its class where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
