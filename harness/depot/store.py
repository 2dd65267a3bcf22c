"""An object store as a depot uses it: six requests, each answered, refused, or of unknown outcome.

Behind it is obstore (S3, Google Cloud Storage, Azure), imported here alone, and only when a depot is opened. It reads
credentials from its own environment variables; no address and no message of ours holds them.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from palimpsest.harness.errors import MissingResource, UsageError, first_line
from palimpsest.harness.system.public_text import public

_SMALL = 8 << 20
"""Bytes up to which a file goes up in one request; longer ones go in parts of at least as much, at most `_PARTS`."""
_PARTS = 9_000
_OPTIONS = re.compile(r"\?[^\s<>]*=\S*")
"""Options of an address, where Azure has its signature."""


class Unreachable(MissingResource):
    """No answer, or not in time: whether what was asked has been done, nobody knows."""


class Gone(Exception):
    """An object that should be there is not, or not as it was written."""


class Store:
    """An object store. Every request may raise `Unreachable`."""

    def __init__(self, url: str, small: Any, large: Any) -> None:
        """Take two clients of obstore, one that asks for small objects and gives up soon, and one that moves blobs."""
        self.url = url
        self._small = small
        self._large = large

    def read(self, key: str) -> tuple[bytes, str] | None:
        """A small object and its tag, which changes with every change of it; None where there is none."""
        with self._asking("FileNotFoundError"):
            found = self._small.get(key)
            return bytes(found.bytes()), _tag(found.meta)
        return None

    def put(self, key: str, data: bytes, tag: str | None) -> str | None:
        """Write a small object in place of the one with this tag alone (None: where there is none); the new tag.

        None: refused, something else is there.
        """
        mode = "create" if tag is None else json.loads(tag)
        with self._asking("AlreadyExistsError", "PreconditionError", "NotImplementedError"):
            return _tag(self._small.put(key, data, mode=mode))
        return None

    def upload(self, key: str, file: Path) -> None:
        """Write an object of any size, whole or not at all, under a key that no other content ever has."""
        size = file.stat().st_size
        with self._asking("AlreadyExistsError"):
            if size <= _SMALL:
                self._large.put(key, file.read_bytes(), mode="create")
            else:
                self._large.put(key, file, chunk_size=max(_SMALL, -(-size // _PARTS)), max_concurrency=4)

    def download(self, key: str, size: int) -> Iterator[bytes]:
        """Pieces of an object of this size; raises `Gone` if there is none, or it is shorter."""
        for start in range(0, size, _SMALL):
            piece, length = b"", min(_SMALL, size - start)
            with self._asking("FileNotFoundError"):
                piece = bytes(self._large.get_range(key, start=start, length=length))
            if len(piece) < length:
                raise Gone(key)
            yield piece

    def sizes(self, folder: str) -> dict[str, int]:
        """All objects below a folder: key → bytes."""
        with self._asking("FileNotFoundError"):
            return {str(found["path"]): int(found["size"]) for part in self._large.list(folder) for found in part}
        return {}

    def remove(self, keys: Collection[str]) -> None:
        """Remove objects; those that are not there are no error."""
        if keys:
            with self._asking("FileNotFoundError"):
                self._large.delete(list(keys))

    @contextmanager
    def _asking(self, *answers: str) -> Iterator[None]:
        """Errors of these classes are answers and end the block; all others mean that the outcome is unknown."""
        try:
            yield
        except Exception as error:
            if type(error).__name__ not in answers:
                raise Unreachable(f"The depot {self.url} cannot be used: {_said(error)}.") from None


def open_store(url: str, *, ttl: float) -> Store:
    """The store at an address, after it has shown that it keeps its promises; requests wait at most for parts of ttl.

    Raises:
        UsageError: It is no address that obstore knows.
        MissingResource: The store cannot be reached, or breaks a promise; or obstore is not installed.
    """
    try:
        from obstore.store import from_url
    except ImportError as error:
        raise MissingResource("--depot needs obstore. Install it: pip install 'palimpsest-bench[depot]'") from error
    # Options that are given take the place of those that obstore reads from the environment.
    plain = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes")
    again = {"max_retries": 2, "retry_timeout": timedelta(seconds=ttl / 8)}
    quick = {"timeout": timedelta(seconds=ttl / 8), "connect_timeout": timedelta(seconds=ttl / 12), "allow_http": plain}
    patient = quick | {"timeout": timedelta(seconds=4 * ttl)}
    try:
        store = Store(url, *(from_url(url, client_options=o, retry_config=again) for o in (quick, patient)))
    except Exception as error:
        raise UsageError(f"--depot {url}: {_said(error)}.") from None
    require_promises(store)
    return store


def require_promises(store: Store) -> None:
    """Try with an object of its own whether the store refuses what it must; raises `MissingResource` if not."""
    key = f"probe/{secrets.token_hex(8)}"

    def written(data: bytes, tag: str | None) -> str | None:
        new, found = store.put(key, data, tag), store.read(key)  # the answer may have been lost
        return found[1] if found is not None and found[0] == data else new

    first = written(b"first", None)
    created = written(b"created twice", None)
    second = first and written(b"second", first)
    stale = second and written(b"replaced though it had changed", first)
    store.remove([key])
    if created or stale or not second:
        what = "lets two writers pass where one must be refused" if created or stale else "has no compare-and-swap"
        raise MissingResource(
            f"The depot {store.url} {what}: two machines could write one run over each other. It is not used. Choose a "
            "store with conditional writes: S3, MinIO, Google Cloud Storage, Azure."
        )


def _tag(about: Any) -> str:
    """The tag of an object: some stores go by its ETag, some by its version."""
    return json.dumps({name: about[name] for name in ("e_tag", "version") if about.get(name) is not None})


def _said(error: Exception) -> str:
    """The first line of an error of obstore, without what may be secret."""
    return public(_OPTIONS.sub("", first_line(error))).rstrip(".")
