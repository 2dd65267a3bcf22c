"""Edit data from the Hugging Face hub, by pinned revisions, through the library `datasets`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from palimpsest.harness.errors import MissingResource, first_line
from palimpsest.tasks.records import rows_of

_WHOLE = 40
"""Hex digits of a commit's whole name."""


@dataclass(frozen=True, slots=True)
class HubData:
    """A data set of the hub, fixed to one commit."""

    repository: str
    revision: str
    """Commit; the beginning of its name will do."""
    splits: tuple[str, ...] = ("train",)
    """Read one after another."""
    file: str | None = None
    """The one file that is wanted; None: what the repository offers."""

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision[:12]}"


def hub_records(data: HubData) -> Iterator[tuple[str, Any]]:
    """Yield ``(where, record)`` of all splits.

    Raises:
        MissingResource: The data are not cached and the hub cannot be read.
    """
    for split in data.splits:
        yield from rows_of(f"{data}, {split}", _rows(data, split))


def _rows(data: HubData, split: str) -> Any:
    from datasets import load_dataset

    try:
        return load_dataset(
            data.repository, data_files=data.file, split=split, revision=_whole(data.repository, data.revision)
        )
    except Exception as error:  # datasets and the hub client each have errors of their own
        reason = f"{type(error).__name__}: {first_line(error)[:120]}"
        raise MissingResource(f"{data} cannot be read from the hub ({reason})") from error


def _whole(repository: str, revision: str) -> str:
    """The whole name of a commit; the hub takes no shorter ones."""
    if len(revision) == _WHOLE:
        return revision
    from huggingface_hub import HfApi

    commits = [commit.commit_id for commit in HfApi().list_repo_commits(repository, repo_type="dataset")]
    found = [commit for commit in commits if commit.startswith(revision)]
    if len(found) != 1:
        raise LookupError(f"{repository} has {len(found)} commits {revision}")
    return found[0]
