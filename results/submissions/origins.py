"""Origins of installed packages: whether somebody else can install the same from an index by name and version."""

from __future__ import annotations

import json
from importlib import metadata
from typing import Literal

Origin = Literal["index", "editable", "address", "unknown"]
"""A package index, a folder whose files are imported where they lie, some other folder or address, or none known."""


def origin_of(distribution: str) -> Origin:
    """Origin of an installed distribution, by the record that installers leave (PEP 610)."""
    try:
        record = metadata.distribution(distribution).read_text("direct_url.json")
        if record is None:
            return "index"
        folder = json.loads(record).get("dir_info")
    except (metadata.PackageNotFoundError, ValueError, AttributeError):
        return "unknown"
    return "editable" if isinstance(folder, dict) and folder.get("editable") is True else "address"


def why_unpublished(origin: Origin, version: str) -> str:
    """Reason why nobody else can install a package as it is here, in words that follow its name; empty: they can."""
    if origin == "editable":
        return "is installed in editable mode: its files may be no release at all"
    if origin == "address":
        return "was installed from a folder or an address, not from a package index"
    if origin == "unknown":
        return "has no record of where it was installed from"
    return "has a local version, which no package index takes" if "+" in version else ""
