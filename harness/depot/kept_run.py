"""One run that is worked on here and kept in a depot: fetched when it is taken, published again and again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from palimpsest.harness.depot.blobs import filled, uploaded
from palimpsest.harness.depot.head import RUNS, Blob
from palimpsest.harness.depot.lease import Lease
from palimpsest.harness.depot.store import Store, Unreachable
from palimpsest.harness.errors import RunBusy
from palimpsest.harness.runs import layout
from palimpsest.harness.runs.reading import RunState
from palimpsest.harness.system.locks import Held, locked


class KeptRun:
    """A run folder in a scratch home, and the head that it is published in, owned by this process."""

    def __init__(self, store: Store, lease: Lease, folder: Path) -> None:
        """Put together what belongs together."""
        self._store = store
        self._lease = lease
        self._folder = folder
        self._blobs = f"{RUNS}/{lease.head.run}"
        self._lost: set[str] = set()
        self._published = 0

    def fetch(self) -> list[str]:
        """Make the folder what the head says, and remove blobs that no head names; warnings about what is lost."""
        head = self._lease.head
        self._remove({key.rpartition("/")[2] for key in self._store.sizes(self._blobs)} - head.keys)
        with self._emptied():
            lost = filled(self._store, head, self._folder)
        self._lost = {head.files[name].key for name in lost}
        return [f"The depot has lost {name} of run {head.run}; it is made again." for name in lost]

    def publish(self, state: RunState) -> None:
        """Upload what is new, put all in the head, remove blobs that it no longer names; raises as `Lease.swap`."""
        self._published += 1
        before = self._lease.head
        known = {name: blob for name, blob in before.files.items() if blob.key not in self._lost}
        files = uploaded(self._folder, known, self._key, self._upload)
        files = _staying(known, files) | files
        self._lease.patiently(lambda: self._lease.swap(files=files, status=state.status, edits=state.edits))
        self._remove(before.keys - self._lease.head.keys)

    def leave(self) -> None:
        """Tidy up, and give the run back, which must not beat any more; raises as `Lease.swap`."""
        with suppress(RunBusy), self._emptied():
            pass
        self._lease.patiently(lambda: self._lease.swap(owner=""))

    @contextmanager
    def _emptied(self) -> Iterator[None]:
        """Hold the scratch folder against processes of this machine, with nothing in it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with locked(self._folder / layout.LOCK):
                for path in self._folder.iterdir():
                    if path.is_dir():
                        shutil.rmtree(path)
                    elif not path.name.startswith(layout.LOCK):
                        path.unlink()
                yield
        except Held as held:
            raise RunBusy(f"An earlier process ({held}) is still at work in {self._folder}.") from held

    def _key(self, digest: str) -> str:
        """The key of a content that is new in this publication: no other publication ever uses or removes it."""
        return f"{self._lease.head.epoch}-{self._published}-{digest}"

    def _upload(self, key: str, file: Path) -> None:
        self._lease.patiently(lambda: self._store.upload(f"{self._blobs}/{key}", file))

    def _remove(self, keys: set[str]) -> None:
        """Remove blobs that no head will ever name again; where the store does not answer, they only take up room."""
        with suppress(Unreachable):
            self._store.remove([f"{self._blobs}/{key}" for key in sorted(keys)])


def _staying(known: Mapping[str, Blob], files: Mapping[str, Blob]) -> dict[str, Blob]:
    """Files of the head that stay though the folder lacks them: its scores, and its saves where there are none.

    A run removes nothing of the kind; somebody who tidies up a scratch folder may.
    """
    saves = any(name.startswith(f"{layout.SAVES}/") for name in files)
    kinds = {layout.SCORES, *(() if saves else (layout.SAVES,))}
    return {name: blob for name, blob in known.items() if name.partition("/")[0] in kinds}
