"""Mirrors of the runs of a depot in a home, for the store, the page, and whoever wants to look at them."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from palimpsest.cli.run_folders import move_aside
from palimpsest.harness.depot.blobs import contents, filled
from palimpsest.harness.depot.head import HEADS, Blob, Head, look
from palimpsest.harness.depot.store import Store
from palimpsest.harness.errors import ConfigError, MissingResource
from palimpsest.harness.runs import layout
from palimpsest.harness.system.atomic_files import atomic_write_bytes, file_sha256

_MIRRORS = "mirrors"
_AT_ONCE = 16


def heads(store: Store) -> tuple[list[Head], list[ConfigError]]:
    """The heads of all runs of a depot, by id; and what is wrong with those that cannot be read.

    Raises:
        Unreachable: The store does not answer.
    """

    def one(run: str) -> Head | ConfigError | None:
        try:
            return look(store, run)[0]
        except ConfigError as error:
            return error

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(one, sorted(Path(key).stem for key in store.sizes(HEADS))))
    return [x for x in found if isinstance(x, Head)], [x for x in found if isinstance(x, ConfigError)]


def mirror(store: Store, home: Path, head: Head, *, saves: bool = False) -> bool:
    """Make a home's folder of a run what the depot has, at once or not at all; False if there was nothing to do.

    An older mirror gives way; a folder that anything else has written is moved aside, and kept.

    Args:
        store: The depot.
        home: Folder of runs.
        head: The run, as it was found.
        saves: Also the weights and states in ``checkpoints``, to export them or to go on from them; a mirror that has
            them keeps them.

    Raises:
        MissingResource: The depot has lost a file of it.
        RunBusy: A process of this machine works in the folder.
    """
    folder, note = home / layout.RUNS / head.run, home / _MIRRORS / f"{head.run}.json"
    before = Head.model_validate_json(note.read_bytes()).files if note.exists() else {}
    ours = bool(before) and _digests(before) == {name: file_sha256(path) for name, path in contents(folder)}
    saves = saves or (ours and any(map(_is_save, before)))
    wanted = {name: blob for name, blob in head.files.items() if saves or not _is_save(name)}
    if not wanted or (ours and _digests(before) == _digests(wanted)):
        return False
    part = folder.with_name(f".{head.run}.{secrets.token_hex(4)}.partial")
    try:
        lost = filled(store, head, part, wanted.__contains__)
        if lost:
            return _again(store, home, head, lost[0], saves=saves)
        if ours:
            shutil.rmtree(folder)
        else:
            move_aside(home, head.run)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    atomic_write_bytes(note, head.model_copy(update={"files": wanted}).packed())
    return True


def _again(store: Store, home: Path, head: Head, lost: str, *, saves: bool) -> bool:
    """`mirror` the run as it is now: its owner has gone on, and removed what it no longer needs."""
    now, _ = look(store, head.run)
    if now is not None and now.keys != head.keys:
        return mirror(store, home, now, saves=saves)
    raise MissingResource(
        f"The depot {store.url} has lost {lost} of run {head.run}. Remove {HEADS}/{head.run}.json there, then give the "
        "run again: it begins anew."
    )


def _is_save(name: str) -> bool:
    return name.startswith(f"{layout.SAVES}/")


def _digests(files: Mapping[str, Blob]) -> dict[str, str]:
    return {name: blob.sha256 for name, blob in files.items()}
