"""Units of building: what they are called, what they depend on, and how their files are made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class File(NamedTuple):
    """One file of the site."""

    path: str
    """Relative to the site's folder, with forward slashes."""
    data: bytes


class Job(NamedTuple):
    """Something that is made as a whole or kept as a whole."""

    key: str
    """``run/<id>``, ``track/<id>``, …"""
    fingerprint: str
    """Hash of all data that go into its files."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Jobs whose data are asked for together."""

    jobs: Sequence[Job]
    make: Callable[[Sequence[str]], Iterator[tuple[str, File]]]
    """Keys of the jobs that are to be done → each key with its files."""


def fingerprint(*parts: Any) -> str:
    """A short hash of plain values."""
    text = json.dumps(parts, sort_keys=True, default=str, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
