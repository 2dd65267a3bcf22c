"""Build the site from the store: write it beside the old one, then swap. A failure leaves the old page as it was."""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from palimpsest.harness.errors import UsageError
from palimpsest.site.pages import Page, render_all
from palimpsest.site.source import Source, StoreSource

MARKER = ".palimpsest-site"
"""A file that says: this folder was built here and may be replaced."""

_STATIC = Path(__file__).resolve().parent / "static"


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What was built."""

    path: Path
    """The page to open."""
    pages: int
    bytes: int
    """Of all files, static ones included."""
    seconds: float


def build(store_path: Path, out_dir: Path) -> BuildReport:
    """Render the store at ``store_path`` into the folder ``out_dir``, replacing an earlier site there.

    Raises:
        StoreError: the store is missing, locked or unreadable.
        UsageError: ``out_dir`` holds something else than a site built here.
    """
    from palimpsest.results.store import Store

    with Store.open(store_path, read_only=True) as store:
        return build_from(StoreSource(store), out_dir)


def build_from(source: Source, out_dir: Path) -> BuildReport:
    """Render any source of data; the same data give the same bytes."""
    started = time.perf_counter()
    out_dir = out_dir.absolute()
    check_replaceable(out_dir)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{out_dir.name}.new-", dir=out_dir.parent))
    try:
        pages = 0
        for page in render_all(source, _version()):
            _write_page(fresh, page)
            pages += 1
        shutil.copytree(_STATIC, fresh / "static", ignore=shutil.ignore_patterns(".*", "__pycache__"))
        (fresh / MARKER).write_text("Built by palimpsest site build; replaced as a whole by the next build.\n")
        fresh.chmod(0o755)
        size = sum(path.stat().st_size for path in fresh.rglob("*") if path.is_file())
        _swap(fresh, out_dir)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return BuildReport(out_dir / "index.html", pages, size, time.perf_counter() - started)


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


def _write_page(folder: Path, page: Page) -> None:
    path = folder / page.path
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(page.html.encode())


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


def _version() -> str:
    try:
        return importlib.metadata.version("palimpsest-bench")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"
