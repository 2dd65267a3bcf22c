"""A model of an object store in memory, and of processes that ask it: every request waits until the test lets it go on.

What a process asks may be done, or not, or later, or twice, and the answer may be lost. Each process is a thread, and
only one of all goes on at a time, so that the order of everything is the test's.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from palimpsest.harness.depot.store import Gone, Store, Unreachable


class Killed(BaseException):
    """The process has been killed."""


@dataclass(frozen=True)
class Request:
    """Something that a process asks for."""

    kind: str
    do: Callable[[], Any]


class Actor:
    """A thread of a process, which goes on only when it is let."""

    def __init__(self) -> None:
        self.request: Request | None = None
        """Where it stands; None: it is idle."""
        self.ended: tuple[str, Any] = ("never", None)
        """How its last work has ended: ``returned``, ``raised`` or ``killed``, and with what."""
        self._answer: Any = None
        self._go = threading.Semaphore(0)
        self._stands = threading.Semaphore(0)

    def begin(self, work: Callable[[], Any]) -> None:
        threading.Thread(target=self._work, args=(work,), daemon=True).start()
        self._stands.acquire()

    def ask(self, request: Request) -> Any:
        """Wait for the answer; called within the thread."""
        self.request = request
        self._stands.release()
        self._go.acquire()
        self.request = None
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer

    def go_on(self, answer: Any) -> None:
        self._answer = answer
        self._go.release()
        self._stands.acquire()

    def _work(self, work: Callable[[], Any]) -> None:
        try:
            self.ended = ("returned", work())
        except Killed:
            self.ended = ("killed", None)
        except Exception as error:
            self.ended = ("raised", error)
        self._stands.release()


@dataclass
class Objects:
    """All objects; a tag is a digest of the content, as S3 has it."""

    content: dict[str, bytes] = field(default_factory=dict)
    written: Callable[[str], object] = lambda key: None
    """Receives the key of every small object that was written."""

    def tag(self, key: str) -> str | None:
        return hashlib.md5(self.content[key]).hexdigest() if key in self.content else None

    def read(self, key: str) -> tuple[bytes, str] | None:
        return (self.content[key], str(self.tag(key))) if key in self.content else None

    def put(self, key: str, data: bytes, tag: str | None) -> str | None:
        if self.tag(key) != tag:
            return None
        self.content[key] = data
        self.written(key)
        return self.tag(key)

    def sizes(self, start: str) -> dict[str, int]:
        return {key: len(data) for key, data in self.content.items() if key.startswith(start)}

    def write(self, key: str, data: bytes) -> None:
        self.content[key] = data

    def remove(self, keys: Collection[str]) -> None:
        for key in keys:
            self.content.pop(key, None)


class ModelStore(Store):
    """The store as one thread of one process sees it."""

    def __init__(self, objects: Objects, actor: Callable[[], Actor]) -> None:
        super().__init__("model://", None, None)
        self._objects = objects
        self._actor = actor

    def _ask(self, kind: str, do: Callable[[], Any]) -> Any:
        return self._actor().ask(Request(kind, do))

    def read(self, key: str) -> tuple[bytes, str] | None:
        found: tuple[bytes, str] | None = self._ask("read", lambda: self._objects.read(key))
        return found

    def put(self, key: str, data: bytes, tag: str | None) -> str | None:
        new: str | None = self._ask("put", lambda: self._objects.put(key, data, tag))
        return new

    def upload(self, key: str, file: Path) -> None:
        data = file.read_bytes()
        self._ask("upload", lambda: self._objects.write(key, data))

    def download(self, key: str, size: int) -> Iterator[bytes]:
        data = self._ask("download", lambda: self._objects.content.get(key))
        if data is None:
            raise Gone(key)
        yield data

    def sizes(self, folder: str) -> dict[str, int]:
        return dict(self._ask("sizes", lambda: self._objects.sizes(f"{folder}/")))

    def remove(self, keys: Collection[str]) -> None:
        if keys:
            self._ask("remove", lambda: self._objects.remove(keys))


NO_ANSWER = Unreachable("no answer")
