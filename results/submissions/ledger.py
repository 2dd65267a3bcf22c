"""Ledger of what came onto the leaderboard, was replaced or was withdrawn, with the reason: lines that only grow.

``ledger.jsonl`` holds one JSON object a line, in the order of time. A bundle without a line in it is on no page; a
withdrawn one stays where it is, and the page says why it counts no longer.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from palimpsest.harness.errors import StoreError, UsageError
from palimpsest.harness.system.atomic_files import disk_errors, sync_folder
from palimpsest.harness.system.strict import Strict
from palimpsest.results.reading.cleaning import clean_text

NAME = "ledger.jsonl"
Action = Literal["include", "publish", "replace", "withdraw", "rerun"]
"""Act that a line records; ``publish`` includes a run that the maintainers made themselves."""
_ARRIVALS = ("include", "publish", "replace")
"""Acts by which a run comes onto the leaderboard."""
_MAX_BYTES = 64_000_000


class Entry(Strict):
    """One line."""

    time: str = Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$"
    )
    action: Action
    run: str = Field(pattern=r"^[0-9a-f]{12}$")
    editor: str = Field(min_length=1, max_length=200)
    reason: str = Field(min_length=1, max_length=1000)
    replaces: str | None = Field(default=None, pattern=r"^[0-9a-f]{12}$")
    """The run that a replacement takes the place of."""
    verdict: Literal["bits", "tolerance", "differs"] | None = None
    """Agreement of the outcomes of a re-run."""
    digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the bundle's ``bundle.json``, and so of everything in the bundle; None: a line from before there were
    digests, which binds no content and verifies nothing."""


def read_ledger(path: Path) -> list[Entry]:
    """All lines; none if there is no ledger yet.

    Raises:
        StoreError: Lines that cannot be read; all are named.
    """
    if not path.is_file():
        return []
    if path.stat().st_size > _MAX_BYTES:
        raise StoreError(f"{path} has more than {_MAX_BYTES} bytes; that is no ledger.")
    entries, wrong = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entries.append(Entry.model_validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the line"
            wrong.append(f"{path}, line {number}: {where}: {clean_text(first['msg'], 200)}")
    if wrong:
        raise StoreError("\n".join(wrong))
    return entries


def append(path: Path, entry: Entry) -> None:
    """Add a line, safely on the disk before this returns.

    Raises:
        UsageError: It does not follow from the lines before, e.g. withdraws what is not included.
        StoreError: The lines before cannot be read.
    """
    _require_sense(read_ledger(path), entry)
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(entry.model_dump_json(exclude_none=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)


def standing(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Run → the line by which it is on the leaderboard; without those that were replaced or withdrawn."""
    found: dict[str, Entry] = {}
    for entry in entries:
        if entry.action in _ARRIVALS:
            found[entry.run] = entry
        if entry.action == "replace" and entry.replaces is not None:
            found.pop(entry.replaces, None)
        if entry.action == "withdraw":
            found.pop(entry.run, None)
    return found


def last_lines(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Run → the last line that is about it, or by which another took its place."""
    return {run: entry for entry in entries for run in (entry.run, entry.replaces) if run is not None}


def verified(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Run → the line by which it counts as verified: the last re-run of just the bundle that stands, if it agreed."""
    entries = list(entries)
    stands = standing(entries)
    found: dict[str, Entry] = {}
    for entry in entries:
        if entry.action != "rerun" or entry.run not in stands:
            continue
        if entry.digest is None or entry.digest != stands[entry.run].digest:
            continue
        found.pop(entry.run, None)
        if entry.verdict in ("bits", "tolerance"):
            found[entry.run] = entry
    return found


def _require_sense(before: Sequence[Entry], entry: Entry) -> None:
    present = standing(before)
    if entry.action in _ARRIVALS and entry.run in present:
        raise UsageError(f"Run {entry.run} is included already, since {present[entry.run].time[:10]}.")
    if entry.action == "withdraw" and entry.run not in present:
        raise UsageError(f"Run {entry.run} is not on the leaderboard, so it cannot be withdrawn.")
    if entry.action == "replace" and (entry.replaces is None or entry.replaces not in present):
        raise UsageError(f"Run {entry.replaces} is not on the leaderboard, so it cannot be replaced. Include instead.")
    if (entry.action == "rerun") != (entry.verdict is not None):
        raise UsageError("A re-run has a verdict, and nothing else has.")
    if entry.action != "withdraw" and entry.digest is None:
        raise UsageError(f"Run {entry.run}: a line must name the digest of the bundle that it is about.")
    if entry.action == "rerun" and entry.run in present and present[entry.run].digest != entry.digest:
        raise UsageError(
            f"Run {entry.run}: the bundle that was done again is not the one that is included, so the re-run says "
            "nothing about it. Withdraw the run and include the bundle as it is now."
        )
