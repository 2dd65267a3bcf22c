"""Caches of a model, which runs share, in a depot: each file is written once, by whoever is first."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from palimpsest.harness.depot.blobs import contents
from palimpsest.harness.depot.head import NAME
from palimpsest.harness.depot.store import Gone, Store, Unreachable
from palimpsest.harness.system.atomic_files import MANIFEST


class Caches:
    """The folder ``models/<fingerprint>`` of a scratch home, whose files check themselves.

    All of it only saves time: where the store does not answer, a run makes for itself what it needs.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        """Name the folder."""
        self._store = store
        self._folder = folder
        self._place = f"models/{folder.name}/"
        self._sizes: dict[str, int] = {}

    def fetch(self, wanted: Callable[[str], bool]) -> None:
        """Fetch the wanted entries that are not here: files, and folders that have their manifest, which comes last."""
        with suppress(Unreachable):
            found = self._store.sizes(self._place.rstrip("/")).items()
            sizes = {key.removeprefix(self._place): size for key, size in found}
            self._sizes = {name: size for name, size in sizes.items() if NAME.match(name)}
            whole = {name.removesuffix(f"/{MANIFEST}") for name in self._sizes if "/" not in name or MANIFEST in name}
            for entry in sorted(whole):
                if wanted(entry) and not (self._folder / entry).exists():
                    self._fetch(entry)

    def keep(self) -> None:
        """Write the files that the depot lacks."""
        with suppress(Unreachable):
            for name, path in sorted(contents(self._folder), key=lambda file: file[1].name == MANIFEST):
                if name not in self._sizes:
                    self._store.upload(self._place + name, path)
                    self._sizes[name] = path.stat().st_size

    def _fetch(self, entry: str) -> None:
        """Fetch a file or folder; it appears whole, or not at all."""
        place = self._folder / entry
        part = place.with_name(f".{place.name}.{secrets.token_hex(4)}.partial")
        try:
            for name in [name for name in self._sizes if name == entry or name.startswith(f"{entry}/")]:
                file = part / Path(name).relative_to(Path(entry).parent)
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("wb") as content:
                    content.writelines(self._store.download(self._place + name, self._sizes[name]))
            with suppress(OSError):  # another process was quicker
                (part / place.name).rename(place)
        except Gone:
            self._sizes = {name: size for name, size in self._sizes.items() if not name.startswith(entry)}
        finally:
            shutil.rmtree(part, ignore_errors=True)
