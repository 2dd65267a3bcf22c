"""Units of building: what they are called, what they depend on, and how their files are made."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


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


def ahead(make: Callable[[str], T], keys: Sequence[str]) -> Iterator[T]:
    """Make something of each key, in their order: a thread makes the next one while this one is used."""
    coming: deque[Future[T]] = deque()
    with ThreadPoolExecutor(1) as thread:
        for key in keys:
            coming.append(thread.submit(make, key))
            if len(coming) > 1:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
