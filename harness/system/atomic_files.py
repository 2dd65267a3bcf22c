"""Writing that survives a crash: whole files and whole folders appear at once, with checksums, or not at all.

Every operation on the disk is announced as the audit event ``palimpsest.files`` (operation, path), so that tests can
kill the process, or raise an error, between any two of them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from palimpsest.harness.errors import MissingResource

MANIFEST = "manifest.json"
FORMAT = 1
_PARTIAL = ".partial"
_DAMAGED = ".damaged"
ABANDONED = 86_400.0
"""Seconds after which what is half-written in a shared folder is taken to be a killed process's."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_CHUNK = 1 << 20


def announce(operation: str, path: Path) -> None:
    """Tell listeners that ``operation`` on ``path`` comes next; a listener may raise to stand in for a failing disk."""
    sys.audit("palimpsest.files", operation, str(path))


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Put ``data`` in the file ``path``: readers see the old content or the new, never a part.

    Raises:
        MissingResource: The disk is full; the old content is still there.
    """
    with disk_errors(path.parent, len(data)):
        announce("mkdir", path.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = _partial_name(path)
        try:
            announce("create", partial)
            with partial.open("xb") as file:
                announce("write", partial)
                file.write(data)
                file.flush()
                announce("fsync", partial)
                os.fsync(file.fileno())
            announce("replace", path)
            partial.replace(path)
            sync_folder(path.parent)
        finally:
            partial.unlink(missing_ok=True)


def atomic_write_text(path: Path, text: str) -> None:
    """`atomic_write_bytes` for text in UTF-8."""
    atomic_write_bytes(path, text.encode("utf-8"))


def atomic_write_json(path: Path, value: Any) -> None:
    """`atomic_write_bytes` for a value as indented JSON."""
    atomic_write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a file under a temporary name, then rename it: readers see the whole file or none.

    The name is random, so that processes of one id on several machines or in several containers share none.

    Raises:
        MissingResource: The disk is full or may not be written; the old content is still there.
    """
    part = _partial_name(path)
    try:
        with disk_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_partials(path.parent, older_than=ABANDONED)
            write(part)
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(path)
    except OSError as error:
        raise MissingResource(
            f"{path} cannot be written: {error}. Make its folder writable or choose another --home, then give the same "
            "command again."
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def write_folder(path: Path, *, edits: int, bytes_needed: int = 0, **facts: str) -> Iterator[Path]:
    """A folder to fill; when the context ends well it becomes ``path``, complete and with its manifest.

    A folder that is already there gives way only when the new one is complete. The manifest holds ``edits``, the
    position of the run that the content belongs to, and ``facts``. ``bytes_needed`` is checked against the free space
    before.

    Raises:
        MissingResource: The disk is too full; nothing changed.
    """
    with disk_errors(path.parent, bytes_needed):
        announce("mkdir", path.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
    require_space(path.parent, bytes_needed)
    partial = _partial_name(path)
    try:
        with disk_errors(path.parent, bytes_needed):
            announce("mkdir", partial)
            partial.mkdir()
            yield partial
            _seal(partial, {"format": FORMAT, "edits": edits, **facts})
            _publish(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _seal(folder: Path, head: Mapping[str, Any]) -> None:
    files = {}
    for file in sorted(folder.iterdir()):
        announce("fsync", file)
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
        files[file.name] = {"bytes": file.stat().st_size, "sha256": file_sha256(file)}
    manifest = folder / MANIFEST
    announce("write", manifest)
    with manifest.open("x", encoding="utf-8") as stream:
        json.dump({**head, "files": files}, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    sync_folder(folder)


def _publish(folder: Path, path: Path) -> None:
    displaced = _partial_name(path)
    if path.exists():
        announce("displace", path)
        path.rename(displaced)
    announce("rename", path)
    folder.rename(path)
    sync_folder(path.parent)
    shutil.rmtree(displaced, ignore_errors=True)


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of a folder; None if there is none that can be read."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and isinstance(manifest.get("files"), dict) else None


def verify_folder(path: Path, *, edits: int, names: tuple[str, ...], **facts: str) -> list[str]:
    """Faults of a folder made by `write_folder` that must hold these files, and these facts in its manifest."""
    manifest = read_manifest(path)
    if manifest is None:
        return [f"{path / MANIFEST} is missing or cannot be read"]
    expected = {"format": FORMAT, "edits": edits, **facts}
    problems = [
        f"{path / MANIFEST} says {key} {manifest.get(key)!r}, expected {value!r}"
        for key, value in expected.items()
        if manifest.get(key) != value
    ]
    for name in names:
        problem = _file_problem(path / name, manifest["files"].get(name))
        if problem:
            problems.append(f"{path / name} {problem}")
    return problems


def _file_problem(file: Path, stated: Any) -> str | None:
    if not isinstance(stated, dict):
        return "is not in the manifest"
    try:
        if file.stat().st_size != stated.get("bytes"):
            return f"has {file.stat().st_size} bytes, the manifest says {stated.get('bytes')}"
        return None if file_sha256(file) == stated.get("sha256") else "does not match its checksum"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder, so that nothing is lost and a new one can be made; the new name."""
    aside = path.with_name(path.name + _DAMAGED)
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside, ignore_errors=True)
    with disk_errors(path.parent):
        announce("set_aside", path)
        path.replace(aside)
        sync_folder(path.parent)
    return aside


def remove_folder(path: Path) -> None:
    """Remove a folder; it is gone under its name at once."""
    doomed = _partial_name(path)
    with disk_errors(path.parent):
        announce("remove", path)
        path.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def remove_partials(folder: Path, *, older_than: float = 0.0) -> None:
    """Remove what killed processes left half-written directly in ``folder``.

    What is younger than ``older_than`` seconds stays, since somebody may be writing it; 0: nobody else writes there.
    """
    for leftover in folder.glob(f".*{_PARTIAL}"):
        with suppress(FileNotFoundError):  # another process may be sweeping, too
            if older_than and time.time() - leftover.stat().st_mtime < older_than:
                continue
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def require_space(folder: Path, bytes_needed: int) -> None:
    """Check that ``folder`` can take ``bytes_needed`` and a little more.

    Raises:
        MissingResource: It cannot.
    """
    needed = bytes_needed + bytes_needed // 20 + _CHUNK
    available = shutil.disk_usage(folder).free
    if available < needed:
        raise _disk_full(folder, needed, available)


@contextmanager
def disk_errors(folder: Path, bytes_needed: int = 0) -> Iterator[None]:
    """Turn "no space left" into a message that says where, how much is needed, and what to do."""
    try:
        yield
    except Exception as error:
        if not _says_full(error):
            raise
        available = 0
        with suppress(OSError):
            available = shutil.disk_usage(folder if folder.exists() else folder.parent).free
        raise _disk_full(folder, bytes_needed, available) from error


def _says_full(error: Exception) -> bool:
    """Tell if an error is that of a full disk; safetensors, whose errors are no `OSError`, has it in words alone."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    return any(os.strerror(number) in str(error) for number in _FULL)


def _disk_full(folder: Path, needed: int, available: int) -> MissingResource:
    return MissingResource(
        f"The disk of {folder} is full: {needed / 1e6:.1f} MB are needed, {available / 1e6:.1f} MB are available. "
        "Nothing that was saved is lost. Free some space, then give the same command again: it continues."
    )


def sync_folder(folder: Path) -> None:
    """Make names in ``folder`` durable."""
    announce("fsync", folder)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _partial_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}{_PARTIAL}")
