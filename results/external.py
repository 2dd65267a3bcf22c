"""Scores of models that were edited elsewhere, each against its unedited base: rows of a kind of their own.

Nobody saw how such a model was edited: in which order, in which batches, with how much of the test data in sight. So
they are kept apart from runs: they are in no store and on no board, have no rank, and enter no mean.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from palimpsest.harness.errors import StoreError, first_line
from palimpsest.harness.system.atomic_files import atomic_write_text
from palimpsest.harness.system.strict import Strict
from palimpsest.results.reading.cleaning import clean_text

MOST = 1000
"""Rows that one page shows; `read_externals` refuses more, and leaves none out without a word."""
_MOST_BYTES = 100_000


class Score(Strict):
    """One metric of both models, with 95 % intervals over the cases."""

    metric: str = Field(max_length=100)
    before: float | None
    """Scores of the base."""
    before_low: float | None
    before_high: float | None
    value: float | None
    """Scores of the edited model."""
    low: float | None
    high: float | None


class External(Strict):
    """One model that was edited elsewhere."""

    kind: Literal["external"] = "external"
    name: str = Field(min_length=1, max_length=200)
    base: str = Field(max_length=200)
    base_fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Checksum of its tensors, its configuration and its tokenizer."""
    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")
    """The same of the edited model."""
    changed: int = Field(ge=0)
    """Parameters that differ from the base's."""
    parameters: int = Field(ge=1)
    task: str = Field(max_length=300)
    task_hash: str = Field(max_length=100)
    form: str = Field(max_length=40)
    edits: int = Field(ge=1)
    """The task's first records, which are said to be the edits."""
    protocol: int = Field(ge=1)
    version: str = Field(max_length=100)
    day: str = Field(pattern=r"^\d{4}-\d\d-\d\d$")
    scores: tuple[Score, ...] = Field(strict=False, max_length=200)

    @property
    def id(self) -> str:
        """The same for the same two models, task, edits and protocol."""
        told = (self.base_fingerprint, self.fingerprint, self.task_hash, str(self.edits), str(self.protocol))
        return hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]


def write_external(folder: Path, row: External) -> Path:
    """Keep a row, in place of an earlier one of the same id."""
    path = folder / f"{row.id}.json"
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write_text(path, row.model_dump_json(indent=1) + "\n")
    return path


def external_files(folder: Path | None) -> list[Path]:
    """Files of rows in ``folder``, by name; none where there is no folder."""
    return sorted(folder.glob("*.json")) if folder is not None else []


def read_externals(folder: Path | None) -> list[External]:
    """The rows of a folder, by base, task, number of edits and name.

    Raises:
        StoreError: One of them cannot be read; all such are named. Or there are more than `MOST`.
    """
    rows, wrong = [], []
    found = external_files(folder)
    if len(found) > MOST:
        raise StoreError(f"{folder}: {len(found):,} external scores; the page shows {MOST:,}. Move some of them away.")
    for path in found:
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise ValueError(f"more than {_MOST_BYTES} bytes")
            rows.append(External.model_validate_json(path.read_bytes()))
        except (ValidationError, ValueError, OSError) as error:
            wrong.append(f"{path}: {clean_text(first_line(error), 300)}")
    if wrong:
        raise StoreError("\n".join([*wrong, "Move what is damaged away; the other rows stay as they are."]))
    return sorted(rows, key=lambda row: (row.base, row.task, row.edits, row.name, row.id))
