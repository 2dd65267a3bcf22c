"""Addresses of depots, and the environment variables by which they are reached. Nothing here imports obstore."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from palimpsest.harness.errors import UsageError

if TYPE_CHECKING:
    from palimpsest.harness.depot.store import Store

SCHEMES = ("s3", "gs", "az", "file")
SCRATCH = "scratch"
"""Folder in a home in which runs of a depot are worked on."""
VARIABLES = ("AWS_", "GOOGLE_", "AZURE_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
"""Beginnings of the names of the environment variables by which a depot is reached."""


def address(url: str) -> str:
    """The address of a depot, without a slash at its end.

    Raises:
        UsageError: It is none, or holds credentials.
    """
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(
            "--depot: an address with credentials or options in it would end up in tickets and journals. Give "
            "SCHEME://BUCKET/FOLDER alone, and credentials in the environment: AWS_…, GOOGLE_… or AZURE_…."
        )
    plain = url.isascii() and url.isprintable() and not set(url) & set(" \"'<>\\")
    if not plain or parts.scheme not in SCHEMES or not (parts.netloc or parts.scheme == "file"):
        raise UsageError(f"--depot: expected an address like s3://bucket/folder, gs://… or az://…, got {url!r}.")
    return url.rstrip("/")


def variables() -> dict[str, str]:
    """The environment variables by which a depot is reached, for processes that get no others with secrets."""
    return {name: value for name, value in os.environ.items() if name.upper().startswith(VARIABLES)}


def scratch(home: Path) -> Path:
    """The home on this machine in which runs of a depot are worked on; machines that share ``home`` have their own."""
    return home / SCRATCH / socket.gethostname()


def opened(url: str) -> Store:
    """The depot at an address.

    Raises:
        UsageError: It is no address.
        MissingResource: It cannot be reached, is not safe for two writers, or obstore is lacking.
    """
    # Late: nobody who gives no --depot needs any of it.
    from palimpsest.harness.depot.lease import TTL
    from palimpsest.harness.depot.store import open_store

    return open_store(address(url), ttl=TTL)
