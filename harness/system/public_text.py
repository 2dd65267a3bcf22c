"""Our own text made public: what may leave the machine (journals, reports, records of the environment) passes here."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

_SECRET_NAME = re.compile(
    "TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|CONNECTION_?STRING|(?:API|ACCESS|ACCOUNT|SAS)_?KEY|PRIVATE|COOKIE|AUTH|WEBHOOK",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"\S*://\S*@\S*|(?=\S*[0-9])(?=\S*[A-Za-z])[^\s/\\:;,]{20,}")
"""An address with a password, or a long word of letters and digits that is no path."""
_SECRET_PART = re.compile(
    r"(?i:key|passw(?:or)?d|pwd|secret|token|sig)=([^;&\s]{8,})|://[^\s/@]*:([^\s/@]{8,})@|://\S+/(\w{20,})$"
)
"""Within a value: what a connection string calls a key, the password of an address, the last part of a webhook's."""
_USER = ("USER", "LOGNAME", "USERNAME")
_NO_NAMES = ("root", "user", "home", "runner", "ubuntu", "nobody", "admin", "model", "data", "test", "palimpsest")
"""Names of accounts that say nothing about anybody, and are words of ours."""


def public(text: str, *, of_user: bool = True) -> str:
    """``text`` with ``$NAME`` for values of environment variables that may be secret, and ``~`` for the home folder.

    The user's name goes, too: ``/scratch/USER/x``; a path that shall be used as it is shown keeps it
    (``of_user=False``).
    """
    for pattern, replacement in _replacements(tuple(os.environ.items()), of_user):
        text = pattern.sub(replacement, text)
    return text


@lru_cache(maxsize=4)
def _replacements(variables: tuple[tuple[str, str], ...], of_user: bool) -> tuple[tuple[re.Pattern[str], str], ...]:
    named = dict(variables)
    return (*_secrets(named), *_homes(), *(_users(named) if of_user else ()))


def _secrets(variables: dict[str, str]) -> Iterator[tuple[re.Pattern[str], str]]:
    listed = sorted(variables.items(), key=lambda item: -len(item[1]))
    found = [(n, v) for n, v in listed if (_SECRET_NAME.search(n) and len(v) >= 6) or _SECRET_VALUE.fullmatch(v)]
    parts = [(n, part) for n, v in listed for groups in _SECRET_PART.findall(v) for part in groups if part]
    for name, value in [*found, *parts]:
        yield re.compile(re.escape(value)), f"${name}".replace("\\", "")


def _homes() -> Iterator[tuple[re.Pattern[str], str]]:
    try:
        home = Path.home()
    except RuntimeError:  # nobody's
        return
    for place in sorted({str(home), str(home.resolve())}, key=len, reverse=True):
        if len(Path(place).parts) > 1:
            yield re.compile(rf"'{re.escape(place)}/([^'\n]* [^'\n]*)'"), r"~/'\1'"  # a shell knows ~ unquoted only
            yield re.compile(rf"(?<![\w.~-]){re.escape(place)}(?![\w-])"), "~"


def _users(variables: dict[str, str]) -> Iterator[tuple[re.Pattern[str], str]]:
    for name in {_account(), *(variables.get(key, "") for key in _USER)}:
        if len(name) >= 4 and name.lower() not in _NO_NAMES:
            yield re.compile(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])"), "USER"
        elif len(name) == 3:  # a short name may be a word
            yield re.compile(rf"(?<=[/\\]){re.escape(name)}(?![\w-])"), "USER"


def _account() -> str:
    """The user's name, also where no variable has it, as in a scheduled job; empty where nobody knows."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
