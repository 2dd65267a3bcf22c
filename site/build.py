"""Build the site from the store: write it beside the old one, then swap. A failure leaves the old page as it was.

What has not changed since the last build is not made again: each job (a track, a run, an editor, …) has a fingerprint
of everything that goes into its files, and files of jobs whose fingerprint is that of the old site are linked over.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from palimpsest.harness.errors import UsageError
from palimpsest.harness.system.environment import DISTRIBUTION
from palimpsest.site.jobs import Batch, File
from palimpsest.site.pages.plan import batches
from palimpsest.site.pages.plan_extras import Options
from palimpsest.site.parts.own_code import code_fingerprint
from palimpsest.site.source import Source, StoreSource

MARKER = ".palimpsest-site"
"""A file that says: this folder was built here and may be replaced; and what was made of what."""

_PACKAGE = Path(__file__).resolve().parent
_STATIC = _PACKAGE / "static"


@dataclass(frozen=True, slots=True)
class BuildReport:
    """Result of a build."""

    path: Path
    """The page to open."""
    pages: int
    bytes: int
    """Bytes of all files, static ones included."""
    seconds: float
    made: int
    """Jobs that were done; the others had not changed since the last build."""
    kept: int


@dataclass(slots=True)
class _Site:
    """The folder that is being filled."""

    fresh: Path
    old: Path
    before: dict[str, tuple[str, list[str]]]
    """Key of a job → its fingerprint and files in the old site."""
    now: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    made: int = 0
    folders: set[str] = field(default_factory=set)

    def do(self, batch: Batch) -> None:
        """Link over what has not changed, make the rest."""
        stale = []
        for job in batch.jobs:
            if not self._keep(job.key, job.fingerprint):
                stale.append(job.key)
                self.now[job.key] = (job.fingerprint, [])
        self.made += len(stale)
        if stale:
            for key, file in batch.make(stale):
                self._write(file)
                self.now[key][1].append(file.path)

    def _keep(self, key: str, fingerprint: str) -> bool:
        found = self.before.get(key)
        if found is None or found[0] != fingerprint:
            return False
        try:
            for name in found[1]:
                self._folder_of(name)
                _link(f"{self.old}/{name}", f"{self.fresh}/{name}")
        except FileNotFoundError:
            for name in found[1]:
                (self.fresh / name).unlink(missing_ok=True)
            return False
        self.now[key] = found
        return True

    def _write(self, file: File) -> None:
        self._folder_of(file.path)
        Path(self.fresh, file.path).write_bytes(file.data)

    def _folder_of(self, name: str) -> None:
        """Make it, once: there are many files, and few folders."""
        folder = name.rpartition("/")[0]
        if folder not in self.folders:
            Path(self.fresh, folder).mkdir(parents=True, exist_ok=True)
            self.folders.add(folder)


def _link(old: str, new: str) -> None:
    try:
        os.link(old, new)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links
        shutil.copyfile(old, new)


def build(store_path: Path, out_dir: Path, options: Options | None = None) -> BuildReport:
    """Render the store at ``store_path`` into the folder ``out_dir``, replacing an earlier site there.

    Raises:
        StoreError: The store or a night is missing, locked or unreadable.
        UsageError: ``out_dir`` holds something else than a site built here.
    """
    from palimpsest.results.store.database import Store

    with Store.open(store_path, read_only=True) as store:
        return build_from(StoreSource(store), out_dir, options)


def build_from(source: Source, out_dir: Path, options: Options | None = None) -> BuildReport:
    """Render any source of data; the same data give the same bytes."""
    started = time.perf_counter()
    with fewer_collections():
        return _build(source, out_dir.absolute(), options or Options(), started)


@contextlib.contextmanager
def fewer_collections() -> Iterator[None]:
    """A build makes millions of short-lived rows and few cycles; looking for those costs a tenth of its time."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _build(source: Source, out_dir: Path, options: Options, started: float) -> BuildReport:
    check_replaceable(out_dir)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{out_dir.name}.new-", dir=out_dir.parent))
    code = _own_code()
    site = _Site(fresh, out_dir, read_marker(out_dir, code))
    try:
        for batch in batches(source, version(), code, options):
            site.do(batch)
        shutil.copytree(_STATIC, fresh / "static", ignore=shutil.ignore_patterns(".*", "__pycache__"))
        _write_marker(fresh, code, site.now)
        fresh.chmod(0o755)
        pages, size = _measure(fresh)
        _swap(fresh, out_dir)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    seconds = time.perf_counter() - started
    return BuildReport(out_dir / "index.html", pages, size, seconds, site.made, len(site.now) - site.made)


def _measure(folder: Path) -> tuple[int, int]:
    pages = size = 0
    folders = [str(folder)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    size += entry.stat().st_size
                    pages += entry.name.endswith(".html")
    return pages, size


@cache
def _own_code() -> str:
    return code_fingerprint(version())


def read_marker(out_dir: Path, code: str) -> dict[str, tuple[str, list[str]]]:
    """Jobs and files of an earlier site; nothing where it was made by other code, or cannot be read."""
    try:
        value = json.loads((out_dir / MARKER).read_text(encoding="utf-8"))
        if value["code"] != code:
            return {}
        found = {str(k): (str(f), [str(n) for n in names]) for k, (f, names) in value["jobs"].items()}
        inside = all(not n.startswith("/") and ".." not in n.split("/") for _, names in found.values() for n in names)
        return found if inside else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_marker(fresh: Path, code: str, jobs: dict[str, tuple[str, list[str]]]) -> None:
    note = "Built by palimpsest site build; replaced as a whole by the next build."
    text = json.dumps({"note": note, "code": code, "jobs": jobs}, sort_keys=True, indent=0)
    (fresh / MARKER).write_text(text, encoding="utf-8")


def check_replaceable(out_dir: Path) -> None:
    """Refuse to replace a folder that holds anything but a site built here."""
    if not out_dir.exists() or (out_dir / MARKER).is_file():
        return
    if not out_dir.is_dir():
        raise UsageError(f"{out_dir} is a file. The site needs a folder of its own: choose another place with --out.")
    if any(out_dir.iterdir()):
        raise UsageError(
            f"{out_dir} holds files that were not built here (no {MARKER} in it), and the site would replace them. "
            "Choose an empty or new folder with --out."
        )


def _swap(fresh: Path, out_dir: Path) -> None:
    """Put the new folder in the old one's place; put the old one back if that fails."""
    if not out_dir.exists():
        fresh.replace(out_dir)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out_dir.name}.old-", dir=out_dir.parent))
    out_dir.replace(old)
    try:
        fresh.replace(out_dir)
    except BaseException:
        old.replace(out_dir)
        raise
    shutil.rmtree(old, ignore_errors=True)


def version() -> str:
    """Version of the installed Palimpsest."""
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"
