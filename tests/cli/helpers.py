"""Calling the command line as a user does, in this process."""

import contextlib
import io
from pathlib import Path

from palimpsest.cli.app import main

_WITH_HOME = {
    "run",
    "fleet",
    "claims",
    "list",
    "show",
    "export",
    "plan",
    "doctor",
    "store",
    "site",
    "table",
    "figure",
    "score",
}


def cli(*arguments: str, home: Path | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command; ``home`` is given as ``--home``."""
    out, err = io.StringIO(), io.StringIO()
    place = ["--home", str(home)] if home is not None and arguments[0] in _WITH_HOME else []
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*arguments, *place])
    return code, out.getvalue(), err.getvalue()
