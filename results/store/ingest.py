"""Bringing run folders into the store: again and again, one transaction per run, damaged ones listed and left out."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from palimpsest.harness.errors import StoreError
from palimpsest.results.reading.cleaning import clean_text
from palimpsest.results.reading.problems import Problem
from palimpsest.results.reading.run_folder import has_ended
from palimpsest.results.store.database import OtherSchema, Store, connect
from palimpsest.results.store.readers import readings
from palimpsest.results.store.run_reader import REFUSED, Reading, Wanted, left_out, not_taken
from palimpsest.results.store.run_rows import RUN_TABLES
from palimpsest.results.store.standings import forget_standings, keep_standings
from palimpsest.results.submissions.ledger import Entry, read_ledger, standing

Progress = Callable[[str, str], None]
"""Called after each run folder with its name and what was done: added, updated, unchanged or skipped."""


@dataclass(slots=True)
class IngestReport:
    """Outcome of one ingest; run ids in each list, in ascending order."""

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    """Things that were left out: a path and why."""
    orphaned: list[str] = field(default_factory=list)
    """Runs in the store whose folders are gone; `rebuild` drops them."""
    rebuilt: str = ""
    """Reason why the store was made anew, and what became of the old one; empty: it was not."""


@dataclass(frozen=True, slots=True)
class Submissions:
    """Place of the bundles, and of the ledger that says which of them are on the leaderboard."""

    folder: Path
    """Folder of the bundles, each under its run's id."""
    ledger: Path
    """Says which of them count; see `palimpsest.results.submissions.ledger`."""


def ingest_all(
    path: Path,
    runs_dir: Path,
    progress: Progress | None = None,
    submissions: Submissions | None = None,
    jobs: int = 1,
) -> IngestReport:
    """Bring the store at ``path`` up to date; one of another schema is made anew, and the report says so.

    Args:
        path: the store; it is made if there is none.
        runs_dir: folder of run folders.
        progress: receives each folder's name and what was done.
        submissions: where bundles are.
        jobs: processes that read folders; this one alone writes. The store is the same with any number.

    Raises:
        StoreError: another process has the store open, it is damaged, or it cannot be written.
    """
    try:
        with Store.open(path) as store:
            return ingest(store, runs_dir, progress, submissions, jobs)
    except OtherSchema as error:
        before = _runs_of_any_schema(path)
        old = path.with_name(f"{path.stem}.other-schema{path.suffix}")
        shutil.copyfile(path, old)
        report = rebuild(path, runs_dir, progress, submissions, jobs)
        report.rebuilt = f"{str(error).partition(', this')[0]}: it was made anew from run folders and submissions."
        lost = sorted(before - {*report.added, *report.updated})
        if lost:
            report.rebuilt += f" {len(lost)} runs of it have no folder here ({', '.join(lost)}); the old store is {old}"
        else:
            old.unlink()
        return report


def _runs_of_any_schema(path: Path) -> set[str]:
    """Run ids in a store of whatever version; none where it does not tell."""
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            return {clean_text(row[0], 40) for row in connection.execute("SELECT run_id FROM runs").fetchall()}
    except duckdb.Error:
        return set()


def ingest(
    store: Store,
    runs_dir: Path,
    progress: Progress | None = None,
    submissions: Submissions | None = None,
    jobs: int = 1,
) -> IngestReport:
    """Bring every run folder under ``runs_dir``, and every bundle that the ledger includes, into ``store``.

    A folder that is in the store as it is now is not touched, so that ingesting twice changes nothing; a changed one
    replaces its run as a whole. A damaged folder is listed in the report and does not affect the others; if its run is
    in the store already, that stays as it is. A bundle gives way to the run of this home only when that has ended. With
    ``jobs`` above 1 so many processes read, and this one writes.

    Raises:
        StoreError: the store is open for reading only, cannot be written, or the ledger cannot be read.
        MissingResource: no process can be started that reads.
    """
    if store.read_only:
        raise StoreError(f"The store {store.path} is open for reading only; ingesting needs it for writing.")
    known = {run_id: digest for run_id, digest in store.rows("SELECT run_id, digest FROM runs")}
    report = IngestReport()
    names = sorted(path.name for path in runs_dir.iterdir()) if runs_dir.is_dir() else []
    folders = {name: runs_dir / name for name in names if not name.startswith(".") and (runs_dir / name).is_dir()}
    included: dict[str, Entry] = {}
    if submissions is not None:
        entries = read_ledger(submissions.ledger)
        stands = standing(entries)
        included = {run: entry for run, entry in stands.items() if not (run in folders and has_ended(folders[run]))}
        folders |= {run: submissions.folder / run for run in included}
        _keep_ledger(store, entries)
    wanted = [_wanted(folder, known.get(name), included.get(name)) for name, folder in sorted(folders.items())]
    with readings(wanted, jobs) as found:
        for reading in found:
            done = _keep(store, reading, known.get(reading.folder.name), report)
            if progress is not None:
                progress(clean_text(reading.folder.name, 40), done)
    keep_standings(store)
    report.orphaned = sorted(set(known) - set(folders))
    return report


def _wanted(folder: Path, known: str | None, entry: Entry | None) -> Wanted:
    """Request for a folder; ``entry`` is the line that includes it as a bundle, None for a run of this home."""
    if entry is None:
        return Wanted(folder, known)
    return Wanted(folder, known, bundle=True, digest=entry.digest, published=entry.action == "publish")


def _keep_ledger(store: Store, entries: Sequence[Entry]) -> None:
    rows = [{"line": line, **entry.model_dump()} for line, entry in enumerate(entries, start=1)]
    with store.transaction():
        store.rows("DELETE FROM ledger")
        store.insert("ledger", [{key: _cleaned(value) for key, value in row.items()} for row in rows])
        submitted = store.rows("SELECT DISTINCT track_id FROM runs WHERE bundle IS NOT NULL")
        forget_standings(store, [track_id for (track_id,) in submitted])  # a re-run moves a submission to its row


def _cleaned(value: object) -> object:
    return clean_text(value, 1000) if isinstance(value, str) else value


def rebuild(
    path: Path,
    runs_dir: Path,
    progress: Progress | None = None,
    submissions: Submissions | None = None,
    jobs: int = 1,
) -> IngestReport:
    """Make the store at ``path`` anew from run folders and bundles, and put it in place of the old one when done.

    Raises:
        StoreError: another process has the store open, or it cannot be written.
    """
    held = _hold(path)
    fresh = path.with_name(f".{path.name}.rebuild")
    try:
        _remove(fresh)
        with Store.open(fresh) as store:
            report = ingest(store, runs_dir, progress, submissions, jobs)
        try:
            if held is not None:
                held.close()
            _wal(path).unlink(missing_ok=True)  # it belongs to the old file and must not be replayed on the new one
            fresh.replace(path)
        except OSError as error:
            raise StoreError(f"The rebuilt store cannot be put at {path}: {error.strerror}.") from error
    finally:
        if held is not None:
            held.close()
        _remove(fresh)
    return report


def _hold(path: Path) -> duckdb.DuckDBPyConnection | None:
    """The old store, opened only to keep others out; None when there is none, or none that can be opened at all."""
    if not path.is_file():
        return None
    try:
        return connect(path, read_only=False)
    except StoreError as error:
        if "in use" in str(error):
            raise
        return None


def _wal(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def _remove(path: Path) -> None:
    for file in (path, _wal(path)):
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


def _keep(store: Store, reading: Reading, known: str | None, report: IngestReport) -> str:
    """Write what was read of one folder; what was done."""
    name = reading.folder.name
    report.problems += reading.problems
    if reading.done != "read":
        if reading.done == "unchanged":
            report.unchanged.append(name)
        return reading.done
    try:
        with store.transaction():
            for table in RUN_TABLES:
                if known is not None:
                    store.rows(f'DELETE FROM "{table}" WHERE run_id = ?', [name])
                if table in reading.tables:
                    store.insert(table, reading.tables[table])
            forget_standings(store, [reading.track])
    except (duckdb.DataError, *REFUSED) as error:
        report.problems += left_out(reading.folder, not_taken(error)).problems
        return "skipped"
    except duckdb.Error as error:
        raise StoreError(
            f"Run {name} cannot be written to the store {store.path}: {clean_text(error, 500)} Nothing of it was "
            "kept. Check the free disk space and repeat the command."
        ) from error
    (report.added if known is None else report.updated).append(name)
    return "added" if known is None else "updated"
