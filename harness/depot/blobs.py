"""Files of folders as blobs, each written once under a key of its own, and folders filled from them again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from palimpsest.harness.depot.head import NAME, RUNS, Blob, Head
from palimpsest.harness.depot.store import Gone, Store
from palimpsest.harness.system.atomic_files import file_sha256, replace_file


def contents(folder: Path) -> Iterator[tuple[str, Path]]:
    """(Name, file) of all that a depot keeps of a folder: nothing hidden, set aside, or half-written."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if NAME.match(name) and path.is_file() and not path.is_symlink():
            yield name, path


def uploaded(
    folder: Path, known: Mapping[str, Blob], key: Callable[[str], str], upload: Callable[[str, Path], None]
) -> dict[str, Blob]:
    """The blobs of all files of a folder, after ``upload`` has written those that are not ``known``.

    ``key`` gives a new content, by its SHA-256, its key. Nobody changes the files meanwhile.
    """
    there = {blob.sha256: blob for blob in known.values()}
    files = {}
    for name, path in contents(folder):
        digest = file_sha256(path)
        if digest not in there:
            upload(key(digest), path)
            there[digest] = Blob(key=key(digest), bytes=path.stat().st_size, sha256=digest)
        files[name] = there[digest]
    return files


def filled(store: Store, head: Head, folder: Path, wanted: Callable[[str], bool] = lambda name: True) -> list[str]:
    """Fetch the wanted files of a head into a folder that has none of them; the names of those that are lost."""
    lost = []
    for name, blob in head.files.items():
        if wanted(name):
            try:
                _fetch(store, f"{RUNS}/{head.run}/{blob.key}", blob, folder / name)
            except Gone:
                lost.append(name)
    return lost


def _fetch(store: Store, key: str, blob: Blob, path: Path) -> None:
    def write(part: Path) -> None:
        digest = hashlib.sha256()
        with part.open("wb") as file:
            for piece in store.download(key, blob.bytes):
                digest.update(piece)
                file.write(piece)
        if digest.hexdigest() != blob.sha256:
            raise Gone(key)

    replace_file(path, write)
