"""Place of the store of a home, and which submissions belong into it."""

from __future__ import annotations

from pathlib import Path

from palimpsest.results.store.database import STORE_NAME
from palimpsest.results.store.ingest import Submissions
from palimpsest.results.submissions import ledger


def store_path(home: Path) -> Path:
    """Path of the store of a home."""
    return home / STORE_NAME


def included(folder: Path) -> Submissions | None:
    """Bundles with the ledger that says which count; None where there is no ledger."""
    record = folder.parent / ledger.NAME
    return Submissions(folder, record) if record.is_file() else None


def published_claims(folder: Path) -> Path:
    """The folder of the records of claims that were published beside a folder of bundles."""
    return folder.parent / "claims"
